/** The keys by which a toolstack sends the front end and the back end of a disk to each other. */
import { type DomainId, frameToAddress } from '../base/units.ts';
import { BackendExtra, FrontendExtra } from './stordom-keys.ts';
import type { GuestDomain } from './toolstack.ts';
import { BackendKey, FrontendKey, XenbusState } from './xenbus.ts';

/** The number of the only disk that a guest has: the first virtual one of Linux, xvda. */
export const VIRTUAL_DEVICE = 51712;

export interface DiskEnds {
  /** Directories of the two ends. */
  readonly back: string;
  readonly front: string;
  readonly guest: GuestDomain;
  readonly driver: DomainId;
}

/** Written in one transaction: neither end sees half of them. */
export function diskKeys({ back, front, guest, driver }: DiskEnds): [string, string | number][] {
  const { disk } = guest.spec;
  const params =
    guest.diskLayout === null ? disk.name : String(frameToAddress(guest.diskLayout.heapFrame));
  return [
    [`${back}/${BackendKey.frontend}`, front],
    [`${back}/${BackendKey.frontendId}`, guest.layout.domain],
    [`${back}/${BackendKey.params}`, params],
    [`${back}/${BackendKey.type}`, disk.kind],
    [`${back}/${BackendKey.mode}`, disk.writable ? 'w' : 'r'],
    [`${back}/${BackendKey.online}`, 1],
    [`${back}/${BackendExtra.frontId}`, guest.frontId],
    [`${back}/${BackendExtra.disk}`, guest.diskId],
    [`${back}/${BackendExtra.ringEpoch}`, guest.ringEpoch],
    [`${back}/${BackendExtra.size}`, guest.sectors],
    [`${back}/${BackendExtra.weight}`, disk.weight],
    [`${back}/${BackendExtra.requestsPerSecond}`, disk.requestsPerSecond],
    [`${back}/${BackendExtra.bytesPerSecond}`, disk.bytesPerSecond],
    [`${back}/${BackendExtra.bare}`, disk.bare ? 1 : 0],
    [`${front}/${FrontendKey.backend}`, back],
    [`${front}/${FrontendKey.backendId}`, driver],
    [`${front}/${FrontendKey.virtualDevice}`, VIRTUAL_DEVICE],
    [`${front}/${FrontendKey.deviceType}`, 'disk'],
    [`${front}/${FrontendExtra.frontId}`, guest.frontId],
    [`${front}/${FrontendExtra.backendAlive}`, 1],
    [`${front}/${FrontendExtra.ringEpoch}`, guest.ringEpoch],
    [`${front}/${FrontendKey.state}`, XenbusState.initialising],
    [`${back}/${BackendKey.state}`, XenbusState.initialising],
  ];
}
