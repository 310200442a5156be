export function transformEvent(event) {
	// A tab, and 注文 before the mistake: '注文'
	event.name = '注文' + };
	return event;
}
