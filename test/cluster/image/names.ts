/** Images of the cluster itself; `.local` is nobody's registry, so a missing image fails at once. */
export const pauseImage = 'weft.local/pause:1';
export const corednsImage = 'weft.local/coredns:1';
