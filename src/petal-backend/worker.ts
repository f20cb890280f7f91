/** Main program of a Petal server's thread. */
import { hostDriver } from '../world/real/host-worker.ts';
import { createPetalServer } from './create-petal-server.ts';

await hostDriver(createPetalServer);
