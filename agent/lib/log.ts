/** One line of JSON per event, on standard error. */
export type Log = (message: string, fields?: Readonly<Record<string, unknown>>) => void;

export const log: Log = (message, fields = {}) => {
  const text = JSON.stringify({ time: new Date().toISOString(), message, ...fields }, (_key, value: unknown) =>
    typeof value === 'bigint' ? value.toString(16).padStart(16, '0') : value,
  );
  process.stderr.write(`${text}\n`);
};
