// event {"score":72,"visits":4}
// score ~> band
// score -> normalized
// visits -> visits_text

export function transformEvent({ score, visits }) {
  let band;
  if (score >= 80) band = 'hot'; else band = 'cold';
  return { band, normalized: score / 100, visits_text: visits === 1 ? 'one visit' : `${visits} visits` };
}
