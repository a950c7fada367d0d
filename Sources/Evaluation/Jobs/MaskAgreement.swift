import FaceShards
import ForgeryMining
import Foundations
import MessagePassing

/// Where the detector looks, against masks.
extension EvaluationJob {
  /// Localisation of one kind of map on fake images. Collective; every rank gets it.
  ///
  /// - Parameters:
  ///   - progress: told how many images this rank has done.
  ///   - afterBatch: called after every batch, on all ranks equally often, so that it may be
  ///     collective. What it throws ends the work.
  package static func localise(
    _ kind: AttentionKind, _ pass: DatasetPass, _ set: ShardSet, _ samples: [Int],
    communicator: Communicator, progress: (Int) -> Void = { _ in },
    afterBatch: () throws -> Void = {}
  ) throws -> Localisation {
    RankStatus.enter(.mapping)
    var summaries = [LocalisationSummary](
      repeating: LocalisationSummary(), count: set.methodNames.count)
    let crop = pass.crop
    let mask = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: set.height * set.width)
    defer { mask.deallocate() }
    let (top, left) = ((set.height - crop) / 2, (set.width - crop) / 2)
    var cropped = [UInt8](repeating: 0, count: crop * crop)
    try pass.maps(kind, set, pass.part(samples), afterBatch: afterBatch) { image in
      try set.readMask(image.sample, into: mask)
      for row in 0..<crop {
        for column in 0..<crop {
          cropped[row * crop + column] = mask[(top + row) * set.width + left + column]
        }
      }
      let scores = cropped.withUnsafeBufferPointer {
        LocalisationScores(attention: image.map, mask: $0, width: crop)
      }
      // Nil where nothing, or everything, is forged: there is no inside and outside then.
      if let scores { summaries[Int(set.methods[image.sample])].add(scores) }
      progress(image.place + 1)
    }
    try pass.completeBatches(of: samples, afterBatch)
    var overall = LocalisationSummary()
    var methods: [String: LocalisationSummary] = [:]
    for method in summaries.indices {
      try communicator.allReduce(&summaries[method].sums, .sum)
      if summaries[method].images > 0 {
        methods[set.methodNames[method]] = summaries[method]
        overall.merge(summaries[method])
      }
    }
    return Localisation(overall: overall, methods: methods)
  }

  /// What should be known of masks that localisation was to be measured with: that some shards have
  /// none, that the values of some mean nothing, or that no image was scored. Collective; every rank
  /// gets the same.
  ///
  /// - Parameter scored: images that localisation was measured over; nil where it was not measured.
  package static func maskNotes(
    _ set: ShardSet, scored: Int?, communicator: Communicator
  ) throws -> [String] {
    guard let scored else {
      guard !set.hasMasks, set.shards.contains(where: \.hasMasks),
        let without = set.shards.first(where: { !$0.hasMasks })
      else { return [] }
      return [
        "\(without.path): it has no masks as others have, so where the detector looks is not measured"
      ]
    }
    // Every rank knows the shards whose masks it has read.
    let lines = try communicator.gather(
      set.shards.compactMap(\.maskProblem).joined(separator: "\n"))
    var notes = Set((lines ?? []).flatMap { $0.split(separator: "\n").map(String.init) }).sorted()
    let limit = 3
    if notes.count > limit {
      notes = notes.prefix(limit) + ["and \(notes.count - limit) more shards like these"]
    }
    if scored == 0 {
      let fakes = set.labels.count { $0 != 0 }
      notes.append(
        "where the detector looks is measured over none of \(fakes) fake images: none has a mask "
          + "that marks a part of it and a map that is not 0 everywhere")
    }
    return notes
  }
}
