/** Tells a person which step runs, for how long, and what it waits for. */
export interface Step {
  /** What the step is doing now: shown beside its name, replaced by the next. */
  readonly waitingFor: (what: string) => void;
}

export interface Progress {
  /** Runs `work` as a named step and reports how it went; its error passes through. */
  step<T>(name: string, work: (step: Step) => Promise<T>, options?: StepOptions): Promise<T>;
}

export interface StepOptions {
  /** How long it is likely to take, in words; said at the start. */
  readonly expect?: string;
}

/** What a reporter writes to; process.stderr is one. */
export interface Terminal {
  readonly isTTY?: boolean | undefined;
  readonly columns?: number | undefined;
  write(text: string): unknown;
}

export const silentProgress: Progress = { step: (_name, work) => work({ waitingFor: () => {} }) };

export interface ProgressOptions {
  /** Seconds, of any clock. */
  readonly now?: () => number;
  /** NO_COLOR (no-color.org) set to anything turns colours off. */
  readonly env?: Readonly<Record<string, string | undefined>>;
}

/**
 * On a terminal: one line a step, renewed in place every 100 ms. Elsewhere (logs, CI): a line when a step starts, one
 * when it ends, and every 15 s what it waits for, so that a quiet minute never looks like a hang.
 */
export function reportProgress(terminal: Terminal, options: ProgressOptions = {}): Progress {
  const now = options.now ?? (() => performance.now() / 1000);
  const env = options.env ?? process.env;
  const live = terminal.isTTY === true && env.TERM !== 'dumb';
  const paint = live && !env.NO_COLOR ? colour : (_code: number, text: string) => text;
  return {
    async step(name, work, stepOptions = {}) {
      const began = now();
      let waiting = stepOptions.expect ?? '';
      const elapsed = () => `${(now() - began).toFixed(1)} s`;
      const line = (mark: string, tail: string) =>
        `${mark} ${name} ${paint(2, `(${elapsed()})`)}${tail ? ` ${tail}` : ''}`;
      const draw = () => {
        const text = waiting ? paint(2, shorten(waiting, (terminal.columns ?? 80) - name.length - 16)) : '';
        terminal.write(live ? `\r\x1b[K${line(paint(36, '…'), text)}` : `${line('…', text)}\n`);
      };
      if (live) draw();
      else terminal.write(`… ${name}${waiting ? ` (${waiting})` : ''}\n`);
      const timer = setInterval(draw, live ? 100 : 15_000);
      timer.unref();
      const start = live ? '\r\x1b[K' : '';
      try {
        const result = await work({ waitingFor: (what) => (waiting = what) });
        terminal.write(`${start}${line(paint(32, '✓'), '')}\n`);
        return result;
      } catch (error) {
        terminal.write(`${start}${line(paint(31, '✗'), waiting ? `while waiting for ${waiting}` : '')}\n`);
        throw error;
      } finally {
        clearInterval(timer);
      }
    },
  };
}

function colour(code: number, text: string): string {
  return `\x1b[${code}m${text}\x1b[0m`;
}

function shorten(text: string, width: number): string {
  const room = Math.max(width, 10);
  return text.length <= room ? text : `${text.slice(0, room - 1)}…`;
}
