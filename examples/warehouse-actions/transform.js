// Turns the rows of a reverse-ETL sync into `group` calls, and stops those that say nothing new.
//
// Each row is an `identify`. Its traits hold the row as the warehouse has it now (`new_truth`)
// and as it was at the last sync (`old_truth`), both as JSON text of [key, value] pairs.

import { compare_truths, rebuild_object } from 'warehouseActionsUtils';

export function transformEvent(event) {
  const { traits } = event;

  // The first sync of a row has no old truth: null is rebuilt to {}, from which all differs.
  const newTruth = rebuild_object(traits.new_truth);
  const oldTruth = rebuild_object(traits.old_truth);
  if (!compare_truths(newTruth, oldTruth)) return null;

  // A row that is known to Salesforce goes there too, under the account's own id.
  if (traits.sfdc_id) {
    const context = (event.context ??= {});
    (context.externalId ??= []).push({ type: 'Salesforce-Account', id: traits.sfdc_id });
    event.integrations = { ...event.integrations, Salesforce: true, All: true };
  }

  event.type = 'group';
  event.groupId = newTruth.group_id;
  event.traits = newTruth;
  // It was the identify's id: a destination that keeps ids would take the group call for a
  // second copy, and throw it away.
  delete event.messageId;
  return event;
}
