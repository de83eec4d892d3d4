/** @file What about this machine keeps jorch from loading, in words, with what to do. */

/** The facts that decide. */
export interface System {
  readonly platform: string;
  readonly arch: string;
  /** Version of glibc; undefined where the C library is another one. */
  readonly glibc: string | undefined;
}

/** The oldest glibc that libtorch, the plugin and the addon work with (manylinux_2_28). */
export const OLDEST_GLIBC = '2.28';

/** This machine. Costs some milliseconds: a report of the process is made for it. */
export const thisSystem = (): System => {
  const { report } = process;
  // A report would look up host names otherwise.
  const { excludeNetwork } = report as { excludeNetwork?: boolean };
  (report as { excludeNetwork?: boolean }).excludeNetwork = true;
  const { header } = report.getReport() as { header: { glibcVersionRuntime?: string } };
  (report as { excludeNetwork?: boolean }).excludeNetwork = excludeNetwork ?? false;
  return { platform: process.platform, arch: process.arch, glibc: header.glibcVersionRuntime };
};

const older = (version: string, than: string): boolean => {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [wantedMajor = 0, wantedMinor = 0] = than.split('.').map(Number);
  return major < wantedMajor || (major === wantedMajor && minor < wantedMinor);
};

const CONTAINER = 'docker run --rm -it -v "$PWD":/app -w /app node:22-bookworm-slim bash';

/** Why jorch cannot run on `system`, with a command that helps; undefined when it can. */
export const systemProblem = ({ platform, arch, glibc }: System): string | undefined => {
  if (platform !== 'linux' || arch !== 'x64')
    return `jorch runs on Linux x64 today; this is ${platform} ${arch}. Use a container: ${arch === 'x64' ? CONTAINER : CONTAINER.replace('--rm', '--rm --platform linux/amd64')}`;
  if (glibc === undefined)
    return `jorch needs glibc ${OLDEST_GLIBC} or newer; this system has another C library (musl, as in Alpine Linux). Use an image with glibc: ${CONTAINER}`;
  if (older(glibc, OLDEST_GLIBC))
    return `jorch needs glibc ${OLDEST_GLIBC} or newer; this system has ${glibc}. Use a newer one: ${CONTAINER}`;
  return undefined;
};

/** What the dynamic linker says, and what helps. */
const LINKER: readonly (readonly [RegExp, string])[] = [
  [
    /file too short|invalid ELF header|ELF load command|cannot read file data/,
    'The file is damaged; get it again with: npm install --force jorch (or, for parts in the cache folder, remove that folder and run: npx jorch install)',
  ],
  [
    /failed to map segment|Operation not permitted|Permission denied/,
    'Files may not be executed there (a file system mounted with noexec, or a policy); keep the packages elsewhere, or name another cache folder: JORCH_CACHE_DIR=/path npx jorch install',
  ],
  [/cannot allocate memory/i, 'There is too little memory, or a limit (ulimit -v) that is too low for libtorch'],
  [
    /libstdc\+\+\.so\.6|GLIBCXX_/,
    'The C++ library is missing or old (version 3.4.28 is needed); get it with: apt-get install libstdc++6',
  ],
  [
    /undefined symbol/,
    'The parts are of different versions; get those that belong together with: npm install --force jorch',
  ],
];

/** One paragraph: what could not be loaded, why, what to do. */
export const loadFailure = (file: string, message: string): string => {
  const problem = systemProblem(thisSystem());
  const hint = LINKER.find(([pattern]) => pattern.test(message))?.[1];
  return `${file} could not be loaded: ${message}. ${problem ?? hint ?? 'Look at every part with: npx jorch doctor'}`;
};
