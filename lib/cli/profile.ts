// The table that `DIFFUSE_PROFILE=1` prints: a profile of the networks' operations.

import type { NativeProfileEntry } from '../native/contract.ts';
import { formatTable } from './units.ts';

const HEADINGS = ['network', 'operation', 'calls', 'seconds', 'share', 'GFLOP', 'GFLOP/s', 'GB/s'];

/** One row per kind of operation and network, and one with the totals. */
export function formatProfile(entries: readonly NativeProfileEntry[]): string {
  const sum = (key: 'calls' | 'seconds' | 'flop' | 'bytes') => entries.reduce((total, entry) => total + entry[key], 0);
  const all = { network: 'all', operation: '', calls: sum('calls'), seconds: sum('seconds') };
  const seconds = Math.max(all.seconds, Number.MIN_VALUE);
  const rows = [...entries, { ...all, flop: sum('flop'), bytes: sum('bytes') }].map((entry) => toRow(entry, seconds));
  return formatTable([HEADINGS, ...rows]);
}

function toRow({ network, operation, calls, seconds, flop, bytes }: NativeProfileEntry, all: number): string[] {
  const rate = (amount: number, digits: number) => (seconds > 0 ? (amount / seconds / 1e9).toFixed(digits) : '');
  return [
    network,
    operation,
    String(calls),
    seconds.toFixed(3),
    `${((100 * seconds) / all).toFixed(1)} %`,
    flop > 0 ? (flop / 1e9).toFixed(1) : '',
    flop > 0 ? rate(flop, 0) : '',
    rate(bytes, 1),
  ];
}
