// How words of several vectors are written where each vector is a word of its own.

/**
 * diffusers gives a word of several vectors a token for each: `<cat>`, `<cat>_1`, `<cat>_2`, ... There, the first stands for all of them in a
 * prompt, and each other for itself. Written out one after the other, with a space between them, they are those vectors once.
 *
 * @param words what each word alone stands for.
 * @returns what each word stands for in a prompt, and what is written out.
 */
export function spellings<T>(words: ReadonlyMap<string, T>): Map<string, readonly T[]> {
  const spelled = new Map<string, readonly T[]>();
  for (const [word, first] of words) {
    const all = [first];
    const written = [word];
    for (let next = `${word}_1`; words.has(next); next = `${word}_${all.length}`) {
      all.push(words.get(next) as T);
      written.push(next);
    }
    spelled.set(word, all);
    if (all.length > 1) spelled.set(written.join(' '), all);
  }
  return spelled;
}
