// Normalization form C (Unicode Standard Annex 15) in time proportional to the length of the text.

/** Shorter runs of combining marks are sorted in no time. */
const FEW = 32;
const LONG_RUN = /\p{M}{32,}/gu;

/** The first and last combining classes in a run. */
const FIRST_MARK = '\u0334';
const LAST_MARK = '\u0345';

/**
 * Same as `text.normalize('NFC')`, whose time is quadratic in the length of a run of unordered marks: it moves each of
 * them to its place one by one.
 */
export function normalize(text: string): string {
  return text.replace(LONG_RUN, inOrder).normalize('NFC');
}

/** A run of marks in canonical order: stretches between marks that never move, each sorted by combining class. */
function inOrder(run: string): string {
  const parts = new Map([...new Set(run)].map((mark) => [mark.codePointAt(0), decomposed(mark)]));
  const classes = classesOf(new Set([...parts.values()].flat()));
  let ordered = '';
  let stretch = '';
  for (const mark of codePoints(run)) {
    for (const part of parts.get(mark) ?? []) {
      if (classes.has(part.codePointAt(0))) stretch += part;
      else {
        ordered += sorted(stretch, classes) + part;
        stretch = '';
      }
    }
  }
  return ordered + sorted(stretch, classes);
}

function sorted(stretch: string, classes: ReadonlyMap<number | undefined, number>): string {
  if (stretch.length < FEW) return stretch;
  const ofClass = Array.from({ length: classes.size }, () => '');
  for (const mark of codePoints(stretch)) ofClass[classes.get(mark) as number] += String.fromCodePoint(mark);
  return ofClass.join('');
}

/** Numbers, because looking up strings is slow. */
function* codePoints(text: string): Generator<number> {
  for (let i = 0; i < text.length; i++) {
    const code = text.codePointAt(i) as number;
    if (code > 0xffff) i++;
    yield code;
  }
}

/** Some marks decompose into two. */
function decomposed(mark: string): string[] {
  return [...mark.normalize('NFD')];
}

/** The combining class number of each mark; none for those that nothing moves past. */
function classesOf(marks: ReadonlySet<string>): Map<number | undefined, number> {
  const movable = [...marks].filter((mark) => !isInOrder(LAST_MARK, mark) || !isInOrder(mark, FIRST_MARK));
  movable.sort((a, b) => (isInOrder(a, b) ? (isInOrder(b, a) ? 0 : -1) : 1));
  const classes = new Map<number | undefined, number>();
  let last = 0;
  for (const [i, mark] of movable.entries()) {
    if (i > 0 && !isInOrder(mark, movable[i - 1] as string)) last++;
    classes.set(mark.codePointAt(0), last);
  }
  return classes;
}

function isInOrder(first: string, second: string): boolean {
  return (first + second).normalize('NFD') === first + second;
}
