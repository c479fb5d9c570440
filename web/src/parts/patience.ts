/** The longest pause between two looks at something that is waited for, in milliseconds. */
const longest = 15_000;

/**
 * patience is how long to wait before the next look at something that has not moved for so long: quick at first, and after ten
 * minutes no quicker than the longest pause. Whoever comes back to the page begins anew.
 */
export function patience(quickest: number, waited: number): number {
  return Math.min(Math.max(quickest, waited / 40), longest);
}
