/** How large the lines of `bench vdi` are: as the targets say, or just large enough to work. */

export interface VdiScale {
  readonly rounds: number;
  /** How long to wait at most, before a round, for others to leave the machine alone. */
  readonly quietMs: number;
  readonly warmMs: number;
  readonly measureMs: number;
  /** Of a bare loop. */
  readonly bareMs: number;
  /** Blocks of an image that random writes go to. */
  readonly writtenBlocks: number;
  /** Blocks of the pool that have their places on the file system before anything is written. */
  readonly allocatedBlocks: number;
  readonly dirtyCapBytes: number;
  /** Age at which what was acknowledged is published. */
  readonly periodNs: number;
  readonly batchBytes: number;
  /** Blocks that are read from memory, and from the slab. */
  readonly hitBlocks: number;
  readonly slabBlocks: number;
  readonly stallSnapshots: number;
  /** Image whose blocks are spread over snapshots. */
  readonly spreadBlocks: number;
  readonly spreadSnapshots: number;
  readonly loggedBytes: number;
  /** Image of a terabyte, the blocks mapped in it, and the small one beside it. */
  readonly hugeBlocks: number;
  readonly hugeMapped: number;
  readonly smallBlocks: number;
  readonly sizedSnapshots: number;
  readonly residentMs: number;
}

const MIB = 2 ** 20;
const BLOCKS_A_MIB = 256;

export const FULL: VdiScale = {
  rounds: 7,
  quietMs: 1000,
  warmMs: 200,
  measureMs: 700,
  bareMs: 400,
  writtenBlocks: 1024 * BLOCKS_A_MIB,
  allocatedBlocks: 3072 * BLOCKS_A_MIB,
  dirtyCapBytes: 128 * MIB,
  periodNs: 500e6,
  batchBytes: 8 * MIB,
  hitBlocks: 32 * BLOCKS_A_MIB,
  slabBlocks: 128 * BLOCKS_A_MIB,
  stallSnapshots: 500,
  spreadBlocks: 256 * BLOCKS_A_MIB,
  spreadSnapshots: 100,
  loggedBytes: 1024 * MIB,
  hugeBlocks: 1024 * 1024 * BLOCKS_A_MIB,
  hugeMapped: 4096 * BLOCKS_A_MIB,
  smallBlocks: 1024 * BLOCKS_A_MIB,
  sizedSnapshots: 15,
  residentMs: 5000,
};

export const QUICK: VdiScale = {
  rounds: 1,
  quietMs: 0,
  warmMs: 10,
  measureMs: 40,
  bareMs: 20,
  writtenBlocks: 4 * BLOCKS_A_MIB,
  allocatedBlocks: BLOCKS_A_MIB,
  dirtyCapBytes: MIB,
  periodNs: 20e6,
  batchBytes: MIB / 8,
  hitBlocks: 64,
  slabBlocks: 256,
  stallSnapshots: 3,
  spreadBlocks: BLOCKS_A_MIB,
  spreadSnapshots: 4,
  loggedBytes: MIB,
  hugeBlocks: 1024 * 1024 * BLOCKS_A_MIB,
  hugeMapped: 1024,
  smallBlocks: 4 * BLOCKS_A_MIB,
  sizedSnapshots: 2,
  residentMs: 50,
};
