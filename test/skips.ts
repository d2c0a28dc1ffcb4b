/** Tests that may be skipped, each with the reason. Under CI any other skip counts as failed. */
export const allowed: readonly { readonly test: RegExp; readonly reason: string }[] = [
  { test: /^cargo: .*(cost|measure|instructions|nanoseconds|print)/, reason: 'prints a measurement, checks nothing' },
];

export function knownSkips(skipped: readonly string[]): { readonly unknown: readonly string[] } {
  return { unknown: skipped.filter((name) => !allowed.some((skip) => skip.test.test(name))) };
}
