/** The piscina task of a guest: one long task from its start to its end. */
import { hostGuest } from '../world/real/host-worker.ts';
import { createGuest } from './create-guest.ts';

export const main: ReturnType<typeof hostGuest> = hostGuest(createGuest);
