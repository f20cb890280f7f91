/**
 * What the ring code needs of its surroundings, and no more.
 *
 * Front and back see a page, grants, an event channel and (in `hypervisor/`) a tree only through
 * these. Emulated guests in a host's RAM are one binding; a real Xen guest (gntdev, evtchn) and a
 * QEMU guest over mapped memory are later ones, which is why nothing here is a SharedArrayBuffer.
 */
import type { DomainId, FrameNo, GrantRef } from '../base/units.ts';

/** A ring's shared pages, contiguous, at `baseBytes` of the views. */
export interface RingView {
  readonly u8: Uint8Array;
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  /** A multiple of 4096. */
  readonly baseBytes: number;
}

/** One end of an event channel. */
export interface EventChannel {
  /**
   * Tells the other end to look at the ring. Cheap when the other end has not looked since the last
   * one.
   */
  notify(): void;
  /** Says that our end will now look at the ring; a notification from here on is a new one. */
  acknowledge(): void;
}

/** Grant status codes (grant_table.h); success is any handle >= 0. */
export const GrantStatus = {
  okay: 0,
  generalError: -1,
  badDomain: -2,
  badGrantRef: -3,
  badHandle: -4,
  badVirtualAddress: -5,
  permissionDenied: -8,
  badPage: -9,
  badCopyArgument: -10,
  again: -12,
  noSpace: -13,
} as const;
export type GrantStatus = (typeof GrantStatus)[keyof typeof GrantStatus];

/**
 * A mapped grant: a small index into the mapper's own table. Negative numbers are `GrantStatus`.
 */
export type GrantHandle = number;

/**
 * What a back end may do with pages that were granted to its domain. Every access to a guest's
 * data goes through a handle: page, direction and bounds are checked by the one who maps.
 */
export interface GrantMapper {
  /** Maps one page of `granter`. Returns a handle >= 0 or a negative `GrantStatus`. */
  map(granter: DomainId, ref: GrantRef, writable: boolean): GrantHandle;
  /** Gives one mapping back; `badHandle` if it is not mapped. */
  unmap(handle: GrantHandle): GrantStatus;
  /** Copies out of the mapped page into private memory of the mapping domain. */
  copyIn(
    handle: GrantHandle,
    pageOffset: number,
    privateAddress: number,
    lengthBytes: number,
  ): GrantStatus;
  /** Copies private memory into the mapped page; the mapping must be writable. */
  copyOut(
    handle: GrantHandle,
    pageOffset: number,
    privateAddress: number,
    lengthBytes: number,
  ): GrantStatus;
  /**
   * Maps pages side by side, as a ring needs them. Returns the view, or a negative `GrantStatus`
   * (`badPage` when the machine cannot put them side by side).
   */
  mapSideBySide(granter: DomainId, refs: readonly GrantRef[]): MappedPages | GrantStatus;
  unmapAll(pages: MappedPages): void;
  /** Mappings in force; 0 after everything was given back. */
  readonly mappedCount: number;
}

export interface MappedPages {
  readonly view: RingView;
  readonly handles: readonly GrantHandle[];
}

/** What a granting domain may do with its own grant table. */
export interface GrantIssuer {
  /** Lets `grantee` use one of our pages. Returns null when the table is full. */
  grant(grantee: DomainId, frame: FrameNo, readonly: boolean): GrantRef | null;
  /**
   * Takes a grant back. False when the grantee still has it mapped: then the page must not be used
   * for anything else, and the caller tries again later.
   */
  end(ref: GrantRef): boolean;
  /** Gives every grant made to the dead domain `from` to `to`. */
  handOver(from: DomainId, to: DomainId): void;
}
