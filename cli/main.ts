/** The `weft` command, also `kubectl weft`. */
import { weftProgram } from './program.ts';
import { plain } from './text.ts';

const program = weftProgram(process.env.WEFT_COMMAND ?? 'weft', async (name, operands, flags) => {
  const { runCommand } = await import('./commands.ts');
  process.exitCode = await runCommand(program, name, operands, flags);
});
// 1 has a meaning of its own; commander ends with it for wrong usage.
program.exitOverride((stop) => process.exit(stop.exitCode === 0 ? 0 : 2));
for (const command of [...program.commands, ...program.commands.flatMap(({ commands }) => commands)]) {
  command.exitOverride((stop) => process.exit(stop.exitCode === 0 ? 0 : 2));
}
// Who reads may leave at any time, as `head` does.
process.stdout.on('error', () => process.exit(0));

await program.parseAsync().catch((error: unknown) => {
  process.stderr.write(`weft: ${plain(error instanceof Error ? error.message : String(error))}\n`);
  process.exitCode = 2;
});
