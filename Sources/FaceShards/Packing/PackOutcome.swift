import Foundations

/// What packing has done, gathered shard by shard.
struct PackOutcome {
  /// Faces of each method, of every split.
  var counts: [[Int]]
  /// A file of which nothing was stored.
  struct Skipped {
    let file: PlannedFile
    /// Place in ``StagedPlan/splits``.
    let split: Int
    let reason: String
  }

  var skipped: [Skipped] = []
  /// What else is worth knowing of a file.
  var notes: [(path: BytePath, note: String)] = []
  /// Videos with frames that show no face: how many, those frames, all frames of these videos, and one of
  /// them.
  var faceless = (videos: 0, frames: 0, of: 0, example: BytePath(bytes: []))
  /// Shards that have faces, in order.
  var shards: [Int] = []

  init(_ plan: StagedPlan) {
    counts = Array(
      repeating: Array(repeating: 0, count: plan.methods.count), count: plan.splits.count)
  }

  /// - Parameter items: what became of all files of a shard.
  /// - Throws: what reading the plan throws.
  mutating func add(_ items: [PackedItem], shard: Int, of plan: StagedPlan) throws {
    let split = plan.shards[shard].split
    let files = try plan.units(of: shard).flatMap { try plan.files(of: $0) }
    for item in items {
      let place = item.item - plan.shards[shard].range.lowerBound
      guard files.indices.contains(place) else { throw plan.changed }
      let file = files[place]
      counts[split][file.method] += item.faces
      if let reason = item.skipped {
        skipped.append(Skipped(file: file, split: split, reason: reason))
      }
      for note in item.notes { notes.append((file.path, note)) }
      if item.framesWithoutFace > 0, item.skipped == nil {
        if faceless.videos == 0 { faceless.example = file.path }
        faceless.videos += 1
        faceless.frames += item.framesWithoutFace
        faceless.of += item.frames
      }
    }
    if items.contains(where: { $0.faces > 0 }) { shards.append(shard) }
  }
}
