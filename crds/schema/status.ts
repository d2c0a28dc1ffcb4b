import { z } from 'zod';

/** `metav1.Condition`, with its bounds. */
export const condition = z.object({
  type: z.string().max(316).describe('What the condition is about, in CamelCase.'),
  status: z.enum(['True', 'False', 'Unknown']).describe('Whether it holds.'),
  observedGeneration: z.int().min(0).optional().describe('The metadata.generation that the condition is about.'),
  lastTransitionTime: z.string().meta({ format: 'date-time' }).describe('When the status last changed.'),
  reason: z.string().min(1).max(1024).describe('Why, as one CamelCase word.'),
  message: z.string().max(32_768).describe('Why, as a sentence.'),
});

/** Status of Weft's own kinds; observedGeneration starts at -1, so that kstatus waits for the first word. */
export const status = z
  .object({
    observedGeneration: z.int().default(-1).describe('The metadata.generation that the operator saw last; -1: none.'),
    conditions: z
      .array(condition)
      .max(32)
      .meta({ 'x-kubernetes-list-type': 'map', 'x-kubernetes-list-map-keys': ['type'] })
      .optional()
      .describe('Accepted, ResolvedRefs, Programmed, Enforced, and Ready as their summary.'),
  })
  .default({ observedGeneration: -1 })
  .describe('What the operator says about the object. Written by the operator only.');

export type Status = z.output<typeof status>;
