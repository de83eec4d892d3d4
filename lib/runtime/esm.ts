/** @file Packages that are ES modules. Node does not let code that V8 kept of an earlier process (bundled.ts) import any, so this is not among it. */

/** As `import(name)`; a CommonJS module cannot say so otherwise before Node 22. */
export const importModule = <T>(name: string): Promise<T> => import(name) as Promise<T>;
