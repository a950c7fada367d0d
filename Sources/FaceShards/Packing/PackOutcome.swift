/// What packing has done, gathered shard by shard.
struct PackOutcome {
  /// Faces of each method, of every split.
  var counts: [[Int]]
  /// Files of which nothing was stored, and why; places in the plan's items.
  var skipped: [(item: Int, reason: String)] = []
  /// What else is worth knowing of a file.
  var notes: [(item: Int, note: String)] = []
  /// Videos with frames that show no face: how many, those frames, all frames of these videos, and one of
  /// them.
  var faceless = (videos: 0, frames: 0, of: 0, example: 0)
  /// Shards that have faces, in order.
  var shards: [Int] = []

  init(_ plan: PackPlan) {
    counts = Array(
      repeating: Array(repeating: 0, count: plan.methods.count), count: plan.splits.count)
  }

  mutating func add(_ items: [PackedItem], shard: Int, of plan: PackPlan) {
    for item in items {
      counts[plan.shards[shard].split][plan.items[item.item].method] += item.faces
      if let reason = item.skipped { skipped.append((item.item, reason)) }
      for note in item.notes { notes.append((item.item, note)) }
      if item.framesWithoutFace > 0, item.skipped == nil {
        if faceless.videos == 0 { faceless.example = item.item }
        faceless.videos += 1
        faceless.frames += item.framesWithoutFace
        faceless.of += item.frames
      }
    }
    if items.contains(where: { $0.faces > 0 }) { shards.append(shard) }
  }
}
