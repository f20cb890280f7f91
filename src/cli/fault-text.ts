/** Faults, changes of a script and scenarios in words. */
import { formatDuration } from '../base/format-units.ts';
import type { Scenario } from '../experiments/scenario.ts';
import type { ScriptChange } from '../experiments/thread-script.ts';
import { type Fault, faultName, victimOf } from '../world/faults.ts';

/** `power-cut h0 at event 3 of flush-submitted of its guests`. */
export function faultText(fault: Fault): string {
  const lasts = 'forNs' in fault ? ` for ${formatDuration(fault.forNs)}` : '';
  return `${faultName(fault)} ${victimOf(fault)} ${whenText(fault)}${lasts}`;
}

function whenText(fault: Fault): string {
  const { when } = fault;
  switch (when.kind) {
    case 'time':
      return `at ${formatDuration(when.atNs)}`;
    case 'progress':
      return `at ${(when.share * 100).toFixed(0)}% of the requests`;
    case 'protocol':
      return `at ${when.event} ${when.nth}${isOfDriver(fault) ? ' of its guests' : ''}`;
    case 'event':
      return `instead of its event ${when.nth}`;
    case 'recovery':
      return `instead of event ${when.nth} of a successor's recovery`;
    case 'crash-point':
      return `at passage ${when.nth} of ${when.point}`;
  }
}

/** Events of the front ends are then those of all guests of the host. */
function isOfDriver(fault: Fault): boolean {
  return victimOf(fault).endsWith('/driver-vm');
}

export function changeText({ drawn, played, why }: ScriptChange): string {
  const outcome = played === null ? 'left out' : `strikes ${whenText(played)} instead`;
  return `${faultText(drawn)}: ${outcome}, because ${why}`;
}

/** What was drawn beside the faults and the requests themselves. */
export function configLines(scenario: Scenario): string[] {
  const { driverRestartNs, guestRestartNs, publish } = scenario;
  return [
    ...scenario.guests.map(({ name, host, device, pace, policy, trace, front }) => {
      const { queues, ringOrder, persistent, indirectSegments } = front;
      return (
        `${name} on ${host}: ${trace.requests} requests, ${device} device, depth ${pace.depth}, ` +
        `${queues} queues of order ${ringOrder}, ` +
        `${persistent ? 'persistent' : 'single'} grants, ${indirectSegments} indirect segments, ` +
        `policy ${policy}`
      );
    }),
    `driver VMs come back after ${formatDuration(driverRestartNs)}, guests after ` +
      `${formatDuration(guestRestartNs)}; back ends publish by ${publish}`,
  ];
}
