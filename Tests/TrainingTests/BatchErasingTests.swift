import TestSupport
import Testing

@testable import Configuration
@testable import Evaluation
@testable import FaceShards
@testable import ForgeryMining
@testable import Images
@testable import MessagePassing
@testable import Networks
@testable import Tensors
@testable import Training

/// A fifth method, as somebody would add it: sets the pixel where the guide is largest to 7, the first
/// one without a guide. All that it needs is in this type.
private struct PeakErasing: ErasingMethod {
  static let name = "peak"
  static let summary = "the pixel where the guide is largest"
  static let manner = "with the peak erased"

  let probability: Double
  var guide = ErasingGuide.nothing

  init(_ settings: ErasingSettings, crop: Int) { probability = settings.probability }

  func scratchSize(height: Int, width: Int) -> Int { MemoryLayout<Int>.stride }

  func erase(_ image: ErasedImage, streams: inout ErasingStreams) {
    let peak = image.scratch.bindMemory(to: Int.self)
    peak[0] = 0
    for pixel in 0..<image.guide.count where image.guide[pixel] > image.guide[peak[0]] {
      peak[0] = pixel
    }
    for channel in 0..<3 { image.pixels[peak[0] * 3 + channel] = 7 }
  }
}

@Suite struct BatchErasingTests {
  private let folder = TemporaryFolder()
  private var crop = 32
  private let count = 5

  private var configuration: Configuration {
    var configuration = Configuration()
    configuration.model.name = .xceptionTiny
    configuration.data.crop = crop
    configuration.training.batchPerRank = count
    return configuration
  }

  private func set() throws -> ShardSet {
    let writer = try ShardWriter(
      path: folder("a.h5"), height: 40, width: 40, methodNames: ["real", "swap"])
    for row in 0..<count {
      let image = (0..<40 * 40 * 3).map { UInt8(truncatingIfNeeded: ($0 &* (row + 3)) >> 3) }
      try image.withUnsafeBufferPointer {
        try writer.append(image: $0, method: row % 2, source: "\(row)")
      }
    }
    try writer.finish()
    return try ShardSet(patterns: [folder("a.h5")])
  }

  private func batch(_ set: ShardSet) throws -> Batch {
    let loader = try BatchLoader(
      evaluating: set, samples: Array(0..<count), batchSize: count, crop: crop,
      normalisation: PixelNormalisation(mean: 0.5, std: 0.25))
    return try #require(try loader.next())
  }

  /// Which pixels of each image differ.
  private func changes(_ before: [Float], _ after: [Float]) -> [[Int]] {
    let pixels = crop * crop
    return (0..<count).map { image in
      (0..<pixels).filter { pixel in
        (0..<3).contains {
          before[(image * pixels + pixel) * 3 + $0] != after[(image * pixels + pixel) * 3 + $0]
        }
      }
    }
  }

  @Test(arguments: [ErasingGuide.nothing, .classActivation, .forgeryAttention])
  func aMethodOfOnesOwnIsOneType(guide: ErasingGuide) throws {
    let set = try set()
    let detector = Detector(.xceptionTiny)
    detector.initialise(seed: 9)
    let workers = WorkerPool(threads: 2)
    var settings = ErasingSettings()
    settings.probability = 1
    var method = PeakErasing(settings, crop: crop)
    method.guide = guide
    let erasing = BatchErasing(method, configuration, detector, batch: count, workers: workers)
    erasing.refresh()
    let batch = try batch(set)
    let before = Array(batch.images)
    erasing.erase(batch)
    #expect(erasing.erased == count)
    let erased = changes(before, Array(batch.images))

    // The same maps by the other way, that of `rfm attention`.
    var peaks = [Int](repeating: 0, count: count)
    if guide != .nothing {
      let pass = DatasetPass(
        detector, crop: crop, normalisation: PixelNormalisation(mean: 0.5, std: 0.25), batch: count,
        communicator: try Communicator.world(needing: .single), workers: workers)
      peaks = []
      try pass.maps(guide == .forgeryAttention ? .fam : .cam, set, Array(0..<count)) { image in
        peaks.append(image.map.indices.max { image.map[$0] < image.map[$1] }!)
      }
    }
    #expect(erased == peaks.map { [$0] })
  }

  /// Also where an image's pixels fill no whole cache lines, and so a method's memory is longer than what
  /// it asked for.
  @Test(arguments: ErasingMethodName.allCases) func everyMethodErasesAtEveryCrop(
    method: ErasingMethodName
  ) throws {
    for crop in [33, 38] {
      var own = BatchErasingTests()
      own.crop = crop
      var settings = ErasingSettings()
      settings.method = method
      settings.probability = 1
      let detector = Detector(.xceptionTiny)
      detector.initialise(seed: 9)
      let erasing = BatchErasing(
        settings.erasing(crop: crop), own.configuration, detector, batch: count,
        workers: WorkerPool(threads: 2))
      erasing.refresh()
      let batch = try own.batch(own.set())
      let before = Array(batch.images)
      erasing.erase(batch)
      let changes = own.changes(before, Array(batch.images))
      #expect(changes.allSatisfy { $0.isEmpty == (method.rawValue == "none") }, "\(crop)")
    }
  }

  /// Early updates erase some of the images that later ones do, and less of them.
  @Test(arguments: ["re", "ae", "sfe"]) func aRampMakesErasingRarerAndSmaller(name: String) throws {
    var configuration = configuration
    configuration.augmentation.method = try #require(ErasingMethodName(rawValue: name))
    configuration.augmentation.probability = 1
    configuration.augmentation.ramp = ErasingRamp(probability: 8, extent: 4)
    configuration.augmentation.blocks = 1
    let detector = Detector(.xceptionTiny)
    detector.initialise(seed: 9)
    let set = try set()
    func erased(_ update: Int?, _ configuration: Configuration) throws -> [[Int]] {
      let erasing = BatchErasing(
        configuration, detector, batch: count, workers: WorkerPool(threads: 2))
      erasing.refresh()
      if let update { erasing.update = update }
      let batch = try batch(set)
      let before = Array(batch.images)
      erasing.erase(batch)
      return changes(before, Array(batch.images))
    }
    var constant = configuration
    constant.augmentation.ramp = ErasingRamp()
    let whole = try erased(nil, constant)
    #expect(whole.allSatisfy { !$0.isEmpty })
    // Over, at its last update, and where nobody counts.
    for update in [8, 9, 1_000_000, nil] { #expect(try erased(update, configuration) == whole) }
    for update in 1..<8 {
      let images = try erased(update, configuration)
      for (i, pixels) in images.enumerated() {
        var streams = ErasingStreams(seed: 5, epoch: 0, sample: UInt64(i))
        #expect(pixels.isEmpty != streams.chooses(probability: Double(update) / 8))
      }
      // As constant settings of the size of this update do.
      var settings = constant
      settings.augmentation.probability = Double(update) / 8
      let share = min(1, Double(update) / 4)
      settings.augmentation.maxHeight = max(1, Int((17 * share).rounded()))
      settings.augmentation.maxWidth = max(1, Int((17 * share).rounded()))
      settings.augmentation.attentionErasing.fraction *= share
      settings.augmentation.randomErasing.maxArea = 0.02 + 0.38 * share
      #expect(try erased(nil, settings) == images, "update \(update)")
    }
  }

  @Test func everyMethodIsFoundByItsName() throws {
    #expect(ErasingMethodName.allCases.map(\.rawValue) == ["none", "re", "ae", "sfe"])
    #expect(ErasingMethodName(rawValue: "peak") == nil)
    for name in ErasingMethodName.allCases {
      var settings = ErasingSettings()
      settings.method = name
      #expect(type(of: settings.erasing(crop: 64)).name == name.rawValue)
    }
  }

  @Test func aMethodGetsItsOwnSettings() throws {
    var settings = ErasingSettings()
    settings.probability = 0.5
    settings.fill = .zero
    settings.randomErasing.minArea = 0.1
    settings.randomErasing.minAspect = 0.5
    settings.attentionErasing.fraction = 0.3
    settings.blocks = 7
    #expect(
      SuspiciousForgeriesErasing(settings, crop: 112)
        == SuspiciousForgeriesErasing(
          probability: 0.5, blocks: 7, maxHeight: 60, maxWidth: 60, fill: .zero))
    settings.maxHeight = 3
    #expect(SuspiciousForgeriesErasing(settings, crop: 112).maxHeight == 3)
    #expect(
      RandomErasing(settings, crop: 112)
        == RandomErasing(
          probability: 0.5, area: 0.1...0.4, aspectRatio: 0.5...2, fill: .zero))
    #expect(
      AttentionErasing(settings, crop: 112)
        == AttentionErasing(probability: 0.5, fraction: 0.3, fill: .zero))
  }
}
