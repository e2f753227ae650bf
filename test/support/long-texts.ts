// Texts of the greatest length that a prompt may have, built to take a tokenizer long.

const LENGTH = 65_536;

const repeated = (part: string): string => part.repeat(Math.ceil(LENGTH / part.length)).slice(0, LENGTH);

export const LONG_TEXTS: Readonly<Record<string, string>> = {
  prose: repeated('a photograph of an astronaut riding a horse, highly detailed '),
  'one word of one letter': repeated('a'),
  'one word of many letters': repeated('thequickbrownfoxjumpsoverthelazydog'),
  'one word of another script': repeated('字'),
  'one run of punctuation': repeated("!'?"),
  'punctuation of one kind': repeated('='),
  digits: repeated('7'),
  spaces: repeated(' '),
  'spaces before a letter': `${repeated(' ').slice(1)}x`,
  'spaces and line ends in turn': repeated(' \n'),
  'spaces and letters in turn': repeated(' a'),
  'other spaces': repeated('\u3000\u00a0'),
  emoji: repeated('😀'),
  'combining marks out of order': `e${repeated('\u0301\u0323').slice(1)}`,
  'compatibility characters': repeated('ﷺ㍿'),
  'NUL characters': repeated('\0'),
  'lone surrogates': repeated('\ud800'),
  'control tokens': repeated('<|im_end|></s>'),
  'marks of word starts': repeated('▁'),
};
