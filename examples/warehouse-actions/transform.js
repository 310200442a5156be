// Turns the rows of a reverse-ETL sync into `group` calls, and drops rows without new values.
//
// Each row is an `identify`. Its traits have the current row of the warehouse (`new_truth`) and
// the row at the last sync (`old_truth`), both as JSON text of [key, value] pairs.

import { compare_truths, rebuild_object } from 'warehouseActionsUtils';

export function transformEvent(event) {
  const { traits } = event;

  // In the first sync of a row the old truth is null. It is rebuilt as {}, so every value differs.
  const newTruth = rebuild_object(traits.new_truth);
  const oldTruth = rebuild_object(traits.old_truth);
  if (!compare_truths(newTruth, oldTruth)) return null;

  // A row with a Salesforce account also goes to Salesforce, with the account's id.
  if (traits.sfdc_id) {
    const context = (event.context ??= {});
    (context.externalId ??= []).push({ type: 'Salesforce-Account', id: traits.sfdc_id });
    event.integrations = { ...event.integrations, Salesforce: true, All: true };
  }

  event.type = 'group';
  event.groupId = newTruth.group_id;
  event.traits = newTruth;
  // This is the identify's id. A destination that remembers ids would treat the group call as a
  // duplicate and discard it.
  delete event.messageId;
  return event;
}
