/** Runs commands of the machine and says clearly what failed. */
import { spawn } from 'node:child_process';

export interface RunOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Text for the command's standard input; closed at once if absent. */
  readonly input?: string;
  /** Ends the command with SIGKILL after this many milliseconds. */
  readonly timeout?: number;
  /** Called with every complete line of standard output and error, for progress. */
  readonly onLine?: (line: string) => void;
  /** The kernel ends the command when this process dies, however it dies. */
  readonly dieWithParent?: boolean;
}

export interface RunResult {
  /** Exit status; 128 + n when signal n ended it, 127 when it could not be started. */
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class CommandError extends Error {
  readonly argv: readonly string[];
  readonly result: RunResult;

  constructor(argv: readonly string[], result: RunResult) {
    const said = (result.stderr.trim() || result.stdout.trim()).split('\n').slice(-12).join('\n');
    super(`command failed with status ${result.code}: ${argv.join(' ')}\n${said}`);
    this.name = 'CommandError';
    this.argv = argv;
    this.result = result;
  }
}

/** Runs to the end and returns whatever happened; never throws. */
export function capture(argv: readonly string[], options: RunOptions = {}): Promise<RunResult> {
  const full = options.dieWithParent ? ['setpriv', '--pdeathsig', 'KILL', '--', ...argv] : argv;
  const [command = '', ...args] = full;
  return new Promise((resolve) => {
    const child = spawn(command, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      ...(options.cwd ? { cwd: options.cwd } : {}),
      env: { ...process.env, ...options.env },
      ...(options.timeout ? { timeout: options.timeout, killSignal: 'SIGKILL' as const } : {}),
    });
    const stdout = collect(child.stdout, options.onLine);
    const stderr = collect(child.stderr, options.onLine);
    child.stdin.on('error', () => {}); // the command may close its input before it was read
    child.stdin.end(options.input ?? '');
    child.on('error', (error) => resolve({ code: 127, stdout: stdout(), stderr: error.message }));
    child.on('close', (code) => resolve({ code: code ?? 137, stdout: stdout(), stderr: stderr() }));
  });
}

/** Runs to the end and returns standard output. @throws CommandError when the status is not 0 */
export async function run(argv: readonly string[], options: RunOptions = {}): Promise<string> {
  const result = await capture(argv, options);
  if (result.code !== 0) throw new CommandError(argv, result);
  return result.stdout;
}

/** Runs several lines of shell in one process; stops at the first that fails. @throws CommandError */
export function shell(script: string, enter: readonly string[] = []): Promise<string> {
  return run([...enter, 'sh', '-euc', script]);
}

function collect(stream: NodeJS.ReadableStream, onLine?: (line: string) => void): () => string {
  const chunks: string[] = [];
  let rest = '';
  stream.setEncoding('utf8');
  stream.on('data', (chunk: string) => {
    chunks.push(chunk);
    if (!onLine) return;
    const lines = (rest + chunk).split('\n');
    rest = lines.pop() ?? '';
    for (const line of lines) onLine(line);
  });
  return () => chunks.join('');
}
