import Checkpoints
import Evaluation
import FaceShards
import ForgeryMining
import Images
import MessagePassing

/// What the maps of fake images tell: where they are high, and which prototype they are like.
struct MapSurvey {
  private let set: ShardSet
  private let crop: Int
  private var sums: [AttentionKind: [LocalisationSummary]] = [:]
  private var trial: AttributionTrial?
  private var mask: [UInt8]
  private var cropped: [UInt8]
  private var normalised: [Float]

  init(_ set: ShardSet, prototypes: Prototypes?, crop: Int) {
    self.set = set
    self.crop = crop
    trial = prototypes.flatMap { $0.methods.isEmpty ? nil : AttributionTrial($0) }
    for kind in AttentionKind.allCases {
      sums[kind] = Array(repeating: LocalisationSummary(), count: set.methodNames.count)
    }
    mask = [UInt8](repeating: 0, count: set.hasMasks ? set.height * set.width : 0)
    cropped = [UInt8](repeating: 0, count: crop * crop)
    normalised = [Float](repeating: 0, count: crop * crop)
  }

  /// Takes a fake image's map.
  ///
  /// - Parameter isAttributed: of FAM, whether the image is also compared with the prototypes.
  mutating func add(_ image: DatasetPass.Mapped, kind: AttentionKind, isAttributed: Bool) throws {
    let method = Int(set.methods[image.sample])
    if set.hasMasks {
      try mask.withUnsafeMutableBufferPointer { try set.readMask(image.sample, into: $0) }
      let centre = CropGeometry.centre(height: set.height, width: set.width, side: crop)
      mask.withUnsafeBufferPointer { mask in
        cropped.withUnsafeMutableBufferPointer {
          centre.cut(plane: mask, width: set.width, into: $0)
        }
      }
      let scores = cropped.withUnsafeBufferPointer {
        LocalisationScores(attention: image.map, mask: $0, width: crop)
      }
      // Nil where nothing, or everything, is forged: there is no inside and outside then.
      if let scores { sums[kind]![method].add(scores) }
    }
    guard kind == .fam, isAttributed, trial != nil else { return }
    normalised.withUnsafeMutableBufferPointer {
      normaliseAttention(image.map, height: crop, width: crop, into: $0)
    }
    // All NaN where the map is not finite: like nothing.
    if !normalised[0].isNaN { trial!.add(normalised, method: set.methodNames[method]) }
  }

  /// Brings the ranks' parts together, the rows of the trial on rank 0. Collective.
  mutating func collect(_ communicator: Communicator) throws {
    for kind in AttentionKind.allCases {
      for method in set.methodNames.indices {
        try communicator.allReduce(&sums[kind]![method].sums, .sum)
      }
    }
    let rows = try communicator.gather(trial?.rows ?? [])
    if let rows { trial?.rows = rows.flatMap { $0 } }
  }

  /// By kind of map; without the kinds that no image was scored for.
  var localisation: [AttentionKind: EvaluationJob.Localisation] {
    sums.compactMapValues { summaries in
      var overall = LocalisationSummary()
      var methods: [String: LocalisationSummary] = [:]
      for (method, summary) in summaries.enumerated() where summary.images > 0 {
        methods[set.methodNames[method]] = summary
        overall.merge(summary)
      }
      return methods.isEmpty
        ? nil : EvaluationJob.Localisation(overall: overall, methods: methods)
    }
  }

  /// How well the prototypes name methods; nil if no image was compared with them.
  func attribution(
    preferred: AttributionKind?, _ calibration: PrototypesFile.Calibration
  ) -> AttributionEvaluation? {
    guard let trial, trial.images > 0 else { return nil }
    return AttributionEvaluation(
      trial, preferred: preferred, plainThreshold: calibration.plainThreshold,
      centredThreshold: calibration.centredThreshold)
  }
}
