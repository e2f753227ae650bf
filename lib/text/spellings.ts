// How words with several vectors are written if each vector is its own word.

/**
 * diffusers gives a word with several vectors one token for each: `<cat>`, `<cat>_1`, `<cat>_2`, ... In a prompt there,
 * the first stands for all of them, and each of the others for itself. Written out in a row, separated by spaces, they
 * are those vectors once.
 *
 * @param words what each word alone stands for.
 * @returns what each word stands for in a prompt, including the written-out form.
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
