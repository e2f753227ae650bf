// A queue that clients take turns in: however many jobs one of them has waiting, the next is another's.

/** Items in the order in which they are served. */
export class FairQueue<Item> {
  /** The waiting items of each client that has any; the client whose turn it is comes first. */
  readonly #waiting = new Map<string, Item[]>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  push(client: string, item: Item): void {
    const items = this.#waiting.get(client);
    if (items) items.push(item);
    else this.#waiting.set(client, [item]);
    this.#size++;
  }

  /** Takes the next item. */
  next(): Item | undefined {
    for (const [client, items] of this.#waiting) {
      const item = items.shift();
      this.#waiting.delete(client);
      if (items.length > 0) this.#waiting.set(client, items);
      this.#size--;
      return item;
    }
    return undefined;
  }

  /** @returns whether it was waiting. */
  remove(item: Item): boolean {
    for (const [client, items] of this.#waiting) {
      const at = items.indexOf(item);
      if (at < 0) continue;
      items.splice(at, 1);
      if (items.length === 0) this.#waiting.delete(client);
      this.#size--;
      return true;
    }
    return false;
  }

  /** All items, the next one first. */
  inOrder(): Item[] {
    const columns = [...this.#waiting.values()];
    const rounds = Math.max(0, ...columns.map(({ length }) => length));
    return Array.from({ length: rounds }, (_, round) =>
      columns.flatMap((items) => (round < items.length ? [items[round] as Item] : [])),
    ).flat();
  }
}
