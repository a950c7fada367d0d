import Checkpoints
import FaceShards
import ForgeryMining
import Foundation
import Foundations
import Images
import MessagePassing
import Tensors

/// Scores the images of shards and measures: `metrics.json` and `scores.csv`.
public struct EvaluationJob {
  /// Localisation of one kind of map, over the fake images that have a mask.
  public struct Localisation: Encodable, Sendable {
    public var overall: LocalisationSummary
    public var methods: [String: LocalisationSummary]

    public init(overall: LocalisationSummary, methods: [String: LocalisationSummary]) {
      self.overall = overall
      self.methods = methods
    }
  }

  /// What `metrics.json` holds.
  public struct Report: Encodable {
    public let metrics: EvaluationMetrics
    public let loss: Double
    public let images: Int
    /// What was done to the images first.
    public let degradations: [Degradation]
    /// By kind of map; empty where shards have no masks.
    public let localisation: [String: Localisation]
    /// What should be known of the masks, a line each; not written.
    public let maskNotes: [String]

    private enum Keys: String, CodingKey { case loss, images, degradations, localisation }

    public func encode(to encoder: any Encoder) throws {
      try metrics.encode(to: encoder)
      var container = encoder.container(keyedBy: Keys.self)
      try container.encode(loss, forKey: .loss)
      try container.encode(images, forKey: .images)
      if !degradations.isEmpty {
        try container.encode(degradations.map(\.description), forKey: .degradations)
      }
      if !localisation.isEmpty { try container.encode(localisation, forKey: .localisation) }
    }
  }

  /// Collective. Rank 0 writes and gets the report, the others nil.
  ///
  /// - Parameters:
  ///   - output: folder, made if it isn't there.
  ///   - degradations: what is done to the images first, one after another.
  ///   - warn: told of what the user should know, a line at a time.
  ///   - localises: also measure where the detector looks, if all shards have masks.
  /// - Throws: what reading shards throws, `MetricsError`, `FileError`, `MPIError`.
  public static func run(
    _ loaded: LoadedDetector, data: [String], output: String, degradations: [Degradation] = [],
    localises: Bool, batch: Int, communicator: Communicator, workers: WorkerPool,
    warn: (String) -> Void = { _ in }
  ) throws -> Report? {
    let set = try loaded.open(data, communicator: communicator, tell: warn)
    try JobOutput.makeFolder(output, communicator)
    let pass = DatasetPass(loaded, batch: batch, communicator: communicator, workers: workers)
    pass.degradations = degradations
    let mine = pass.part(Array(0..<set.count)).count
    RankStatus.enter(.scoring)
    var progress = communicator.isRoot ? ProgressLine("image", total: mine) : nil
    let logits = try pass.logits(set, Array(0..<set.count)) { progress?.update($0) }
    progress?.finish()

    var localisation: [String: Localisation] = [:]
    if localises, set.hasMasks, set.labels.contains(1) {
      for kind in pass.kinds {
        let fakes = (0..<set.count).filter { set.labels[$0] != 0 }
        progress =
          communicator.isRoot ? ProgressLine(kind.rawValue, total: pass.part(fakes).count) : nil
        localisation[kind.rawValue] = try localise(
          kind, pass, set, fakes, communicator: communicator
        ) { progress?.update($0) }
        progress?.finish()
      }
    }

    var maskNotes: [String] = []
    if localises, set.labels.contains(1) {
      maskNotes = try Self.maskNotes(
        set, scored: localisation.values.map(\.overall.images).max(), communicator: communicator)
    }

    guard let logits else { return nil }
    let sources = try set.readSources()
    let scored = try ScoredSet(logits: logits, set: set, sources: sources)
    let report = Report(
      metrics: scored.metrics, loss: scored.loss, images: set.count,
      degradations: degradations, localisation: localisation, maskNotes: maskNotes)
    try JobOutput.write(report, to: "\(output)/metrics.json")
    try DurableFile.write(to: "\(output)/scores.csv") { file in
      func write(_ text: String) throws {
        var text = text
        try text.withUTF8 { try file.write(UnsafeRawBufferPointer($0)) }
      }
      try write("index,path,source,label,method,logit_real,logit_fake,probability_fake\n")
      // Of very many images all lines together would be more than the rest of this.
      try set.forEachShardsPaths { samples, paths in
        try write(scoresLines(scored, samples, paths: paths, sources: sources[samples]))
      }
    }
    return report
  }

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

  /// Lines of `scores.csv`, with fields quoted as RFC 4180 says where they need it.
  static func scoresLines(
    _ scored: ScoredSet, _ samples: Range<Int>, paths: [String], sources: ArraySlice<String>
  ) -> String {
    var text = ""
    for i in samples {
      let fields = [
        String(i), field(paths[i - samples.lowerBound]), field(sources[i]),
        String(scored.labels[i]),
        field(scored.methodNames[Int(scored.methods[i])]), "\(scored.logits[2 * i])",
        "\(scored.logits[2 * i + 1])", "\(scored.scores[i])",
      ]
      text += fields.joined(separator: ",") + "\n"
    }
    return text
  }

  static func field(_ text: String) -> String {
    // Not by characters: one may begin with a quotation mark, or be two line ends.
    guard text.unicodeScalars.contains(where: { [",", "\"", "\n", "\r"].contains($0) }) else {
      return text
    }
    var quoted = String.UnicodeScalarView("\"".unicodeScalars)
    for scalar in text.unicodeScalars {
      quoted.append(scalar)
      if scalar == "\"" { quoted.append(scalar) }
    }
    quoted.append("\"")
    return String(quoted)
  }
}

/// Files that jobs leave.
package enum JobOutput {
  /// Makes the folder of the results, on rank 0 and before the work: that it can't be made should
  /// not be found out after hours.
  static func makeFolder(_ path: String, _ communicator: Communicator) throws {
    if communicator.isRoot { try DurableFile.makeFolder(path) }
  }

  /// JSON with sorted keys.
  package static func write(_ value: some Encodable, to path: String) throws {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let text = String(decoding: try encoder.encode(value), as: UTF8.self) + "\n"
    try DurableFile.write(text, to: path)
  }
}
