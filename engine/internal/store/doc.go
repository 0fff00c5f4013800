// Package store keeps the state of an engine: keys and records in one directory, written by one committer.
//
// What holds:
//
//   - An update is durable when Update returns nil, and leaves no trace when its function returns an error.
//   - Updates run one after another. Each sees the writes of all before it, also of those not yet durable, and is
//     acknowledged only after them. Updates that arrive together share one synced commit.
//   - A reader sees the last durable commit and never waits for a writer.
//   - A record carries a checksum over its key and payload: damage is ErrCorrupt, never wrong data. Commits that
//     were acknowledged and are gone are ErrLost when the directory is opened. So are tables that are damaged anywhere
//     ErrCorrupt; those of a store of more than 256 MiB are looked at while it runs, and end it as an I/O error does.
//   - A backup is the state at one commit, and a restored store holds the same records byte for byte. A backup that was
//     changed at any bit, cut off or appended to is refused, and a restore that was cut off leaves nothing that opens.
//   - After Compact no byte of what was deleted or overwritten before is in any file of the directory.
//   - A store that is in a newer format, or on its way to one, is ErrNewer.
//   - A disk that runs full is ErrFull to the caller, and updates succeed again once there is space.
//   - After an I/O error in a commit every update is ErrPoisoned until the directory is opened anew.
//
// What is due later is a Timer, set in the update that finds it so under a kind that the package which does it names.
// A further kind takes such a name, and a line where the engine hands out what is due (engine.fireDue; pipeline.wake for
// what changes records), which takes the timer in the update that has its effect.
//
// One use:
//
//	s, err := store.Open(dir, store.Options{})
//	err = s.Update(ctx, func(tx *store.Tx) error {
//		return store.Put(tx, store.NewKey(store.KeyItem).Str(id).Bytes(), &item)
//	})
//	err = s.View(func(sn *store.Snapshot) error {
//		item, err = store.Load[feedback.Item](sn, store.NewKey(store.KeyItem).Str(id).Bytes())
//		return err
//	})
//
// The package is the only importer of Badger, which it runs in managed mode with every commit synced and every
// value in the tree (no value log).
package store
