/** What may come next on a command line, from a tree of commander's commands alone. */
import type { Argument, Command, Option } from 'commander';

/**
 * @param words what stands after the program's name; the last is being typed, perhaps empty
 * @returns whole words that fit, sorted; empty where anything may come
 */
export function complete(program: Command, words: readonly string[]): string[] {
  const typed = words.at(-1) ?? '';
  let command = program;
  const path = [program];
  const operands: string[] = [];
  let awaited: Option | undefined;
  for (const word of words.slice(0, -1)) {
    if (awaited !== undefined) {
      awaited = undefined;
      continue;
    }
    if (word.startsWith('-')) {
      const option = optionsOf(path).find((one) => isNamed(one, word));
      awaited = option?.required === true ? option : undefined;
      continue;
    }
    const next = command.commands.find((one) => one.name() === word || one.aliases().includes(word));
    if (next === undefined) operands.push(word);
    else {
      command = next;
      path.push(next);
    }
  }
  return fitting(candidates(command, path, operands, awaited, typed), typed);
}

function candidates(
  command: Command,
  path: readonly Command[],
  operands: readonly string[],
  awaited: Option | undefined,
  typed: string,
): string[] {
  if (awaited !== undefined) return [...(awaited.argChoices ?? [])];
  const [flag = '', value] = typed.split('=');
  if (typed.startsWith('--') && value !== undefined) {
    const option = optionsOf(path).find((one) => isNamed(one, flag));
    return (option?.argChoices ?? []).map((choice) => `${flag}=${choice}`);
  }
  if (typed.startsWith('-'))
    return ['--help', ...optionsOf(path).flatMap(({ long, hidden }) => (hidden ? [] : (long ?? [])))];
  if (command.commands.length > 0) {
    return command
      .createHelp()
      .visibleCommands(command)
      .map((one) => one.name());
  }
  const argument: Argument | undefined = command.registeredArguments[operands.length] ?? variadic(command);
  return [...(argument?.argChoices ?? [])];
}

function variadic({ registeredArguments }: Command): Argument | undefined {
  const last = registeredArguments.at(-1);
  return last?.variadic === true ? last : undefined;
}

const isNamed = ({ long, short }: Option, word: string): boolean => word === long || word === short;

/** A command knows its parents' options, too. */
const optionsOf = (path: readonly Command[]): Option[] => path.flatMap(({ options }) => [...options]);

function fitting(all: readonly string[], typed: string): string[] {
  return [...new Set(all)].filter((one) => one.startsWith(typed)).sort();
}
