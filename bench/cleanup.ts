/** What has to be taken down however a run ends: regularly, by an error, or by a signal. */

type Undo = () => void | Promise<void>;
const pending = new Set<Undo>();
let signalled = false;

/** A signal has come: what fails from now on fails because it is being taken down. */
export const isEnding = (): boolean => signalled;

/** Notes an undoing. @returns does it, once, whether it is called here or by a signal */
export function onEnd(undo: Undo): () => Promise<void> {
  pending.add(undo);
  return async () => {
    if (pending.delete(undo)) await undo();
  };
}

/** Undoes what is left, the latest first; one that fails is told and does not hold up the others. */
export async function undoAll(): Promise<void> {
  for (const undo of [...pending].reverse()) {
    pending.delete(undo);
    try {
      await undo();
    } catch (error) {
      process.stderr.write(`could not clean up: ${error instanceof Error ? error.message : String(error)}\n`);
    }
  }
}

/** From now on a signal takes down what was made, then ends the process as that signal does. */
export function undoOnSignals(): void {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.once(signal, () => {
      signalled = true;
      process.stderr.write(`\n${signal}: cleaning up\n`);
      void undoAll().then(() => process.kill(process.pid, signal));
    });
  }
}
