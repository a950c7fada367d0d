import Checkpoints
import Configuration
import Evaluation
import FaceShards
import ForgeryMining
import Images

/// Chooses the images that a report shows one by one, and draws what the detector sees in them.
struct ExampleGallery {
  let pass: DatasetPass
  let set: ShardSet
  let loaded: LoadedDetector
  let prototypes: PrototypesFile?
  /// For the erasing that the training used; nil: the paper's.
  let configuration: Configuration?

  /// Methods that get a typical image, and mistakes of each of the two kinds.
  private static let methodLimit = 12
  private static let mistakeLimit = 3

  /// Which images are shown, and why: of the real ones and of each method the one with the middle
  /// probability, then the fakes that pass most easily for real, and the real ones that most look
  /// fake.
  ///
  /// - Returns: places in `scores`.
  static func choose(_ scores: SampleScores, _ set: ShardSet) -> [(
    place: Int, reason: Example.Reason
  )] {
    let order = scores.samples.indices.sorted {
      (scores.probabilities[$0], $0) < (scores.probabilities[$1], $1)
    }
    var chosen: [(place: Int, reason: Example.Reason)] = []
    let present = set.methodNames.indices.filter { method in
      order.contains { Int(set.methods[scores.samples[$0]]) == method }
    }
    for method in present.prefix(methodLimit + 1) {
      let mine = order.filter { Int(set.methods[scores.samples[$0]]) == method }
      chosen.append((mine[mine.count / 2], .typical))
    }
    let shown = Set(chosen.map(\.place))
    let missed = order.filter {
      set.labels[scores.samples[$0]] != 0 && scores.probabilities[$0] < 0.5 && !shown.contains($0)
    }
    let alarms = order.reversed().filter {
      set.labels[scores.samples[$0]] == 0 && scores.probabilities[$0] >= 0.5
        && !shown.contains($0)
    }
    chosen += missed.prefix(mistakeLimit).map { ($0, .missed) }
    chosen += alarms.prefix(mistakeLimit).map { ($0, .falseAlarm) }
    return chosen
  }

  /// Not collective.
  ///
  /// - Throws: what reading shards throws.
  func examples(_ scores: SampleScores) throws -> [Example] {
    let chosen = Self.choose(scores, set)
    let samples = chosen.map { scores.samples[$0.place] }
    var attention: [[Float]] = []
    var activation: [[Float]] = []
    try pass.maps(.fam, set, samples) { attention.append(Array($0.map)) }
    if pass.hasActivationMaps {
      try pass.maps(.cam, set, samples) { activation.append(Array($0.map)) }
    }
    let names = try set.names(of: samples)
    let attribution = prototypes.flatMap {
      $0.prototypes.methods.isEmpty ? nil : Attribution($0.prototypes)
    }
    let crop = pass.crop
    return try chosen.enumerated().map { index, choice in
      let sample = samples[index]
      let image = try face(sample)
      // FAM is spiky: the normalised map, smoothed by half, is what prototypes are made of too.
      let smooth = normalisedAttention(attention[index], height: crop, width: crop)
      var streams = ErasingStreams(seed: 0, epoch: 0, sample: UInt64(set.identifier(of: sample)))
      return Example(
        reason: choice.reason,
        name: [names[index].path, names[index].source].first { !$0.isEmpty } ?? "image \(sample)",
        method: set.methodNames[Int(set.methods[sample])],
        probability: scores.probabilities[choice.place],
        attributed: attribution.flatMap { named(smooth, by: $0) },
        image: image, attention: Heatmap.overlay(smooth, width: crop, height: crop, on: image),
        activation: pass.hasActivationMaps
          ? Heatmap.overlay(activation[index], width: crop, height: crop, on: image) : nil,
        erased: ErasedPicture.render(
          image, attention: attention[index], erasing: erasing,
          normalisation: loaded.normalisation, streams: &streams))
    }
  }

  private func face(_ sample: Int) throws -> RGBImage {
    let pixels = try [UInt8](unsafeUninitializedCapacity: set.imageSize) { buffer, count in
      buffer.initialize(repeating: 0)
      try set.readImage(sample, into: buffer)
      count = set.imageSize
    }
    let centre = CropGeometry.centre(height: set.height, width: set.width, side: pass.crop)
    return RGBImage(width: set.width, height: set.height, pixels: pixels).cropped(
      left: centre.left, top: centre.top, width: pass.crop, height: pass.crop)
  }

  private func named(
    _ map: [Float], by attribution: Attribution
  ) -> (method: String, similarity: Double)? {
    let kind = prototypes?.calibration.kind ?? .plain
    let similarities = attribution.similarities(map)
    return similarities.likeliestMethod(kind).map {
      (attribution.prototypes.methods[$0], similarities[kind][$0])
    }
  }

  /// The training's own erasing, if it goes by Forgery Attention Maps; else SFE as the paper has it.
  private var erasing: any ErasingMethod {
    let own = configuration?.augmentation.erasing(crop: pass.crop)
    if let own, own.guide == .forgeryAttention { return own }
    return SuspiciousForgeriesErasing(ErasingSettings(), crop: pass.crop)
  }
}
