/** @file Test programs that are run by hand. */

/** The process ends with what `main` answers; with 2, and the error in words, when it fails. */
export const runProgram = (main: () => Promise<number>): void => {
  main().then(
    (code) => {
      process.exitCode = code;
    },
    (error: unknown) => {
      console.error(error);
      process.exitCode = 2;
    },
  );
};
