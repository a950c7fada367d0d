import Foundation
import Testing

@testable import Networks
@testable import Tensors

/// Networks that end behind a stage, and patch heads.
@Suite(.serialized) struct PatchDetectorTests {
  /// What Tests/Oracle/patches.py wrote.
  private struct Index: Decodable {
    let weightsChecksum: String
    let cases: [NetworkGolden.Case]
  }

  static let cases: [(name: String, form: DetectorForm)] = [
    // A map of several tiles.
    ("resnet18-layer1-patch", DetectorForm(.resnet18, truncate: "layer1", head: .patch)),
    ("resnet18-layer2-patch", DetectorForm(.resnet18, truncate: "layer2", head: .patch)),
    ("resnet18-layer3-linear", DetectorForm(.resnet18, truncate: "layer3")),
    (
      "efficientnet-b0-blocks.2-patch",
      DetectorForm(.efficientnetB0, truncate: "blocks.2", head: .patch)
    ),
    ("xception-block2-patch", DetectorForm(.xception, truncate: "block2", head: .patch)),
  ]

  private static func drawn(_ form: DetectorForm) throws -> Detector {
    let detector = Detector(form)
    _ = try detector.load(Fixture.drawnWeights(detector), from: "oracle", seed: 0)
    return detector
  }

  private static func tolerance(_ target: Double, _ sketch: NetworkGolden.Sketch) -> Double {
    max(target, 3 * sketch.float32Error)
  }

  // MARK: PyTorch

  /// Names and shapes, scores, the logits at every position, attention with its most sensitive pixel, loss,
  /// gradients and running statistics are those of PyTorch in float64, at two sizes.
  @Test(arguments: cases.map(\.name)) func everythingIsPyTorchs(name: String) throws {
    let form = Self.cases.first { $0.name == name }!.form
    let index = try JSONDecoder().decode(Index.self, from: Golden.data("Patches/\(name).json"))
    let all = try Golden.floats("Patches/\(name).f32")
    var total: UInt64 = 0
    var place: UInt64 = 1
    for tensor in Fixture.drawnWeights(Detector(form)) {
      for value in tensor.values {
        total &+= UInt64(value.bitPattern) &* place
        place += 1
      }
    }
    #expect("\(total)" == index.weightsChecksum)
    for golden in index.cases {
      var values = all[golden.offset...]
      func next(_ count: Int) -> ArraySlice<Float> {
        defer { values = values.dropFirst(count) }
        return values.prefix(count)
      }
      let crop = golden.crop
      let workers = WorkerPool(threads: 2)
      let detector = try Self.drawn(form)
      let attention = AttentionProgram(detector, crop: crop, workers: workers)
      attention.refresh()
      let (images, _) = Fixture.batch(golden.evaluationImages, crop: crop)
      let result = AttentionResult.of(attention, images, selected: [0, 1])
      let inference = InferenceProgram(detector, crop: crop, workers: workers)
      inference.refresh()
      let size = 2 * inference.featureHeight * inference.featureWidth
      var maps = [Float](repeating: .nan, count: 2 * size)
      var logits = [Float](repeating: .nan, count: 4)
      inference.run(images: images, count: 2, logits: &logits, activationMaps: &maps)
      #expect(logits == result.logits)
      for n in 0..<2 {
        let wanted = next(2)
        let own = result.logits[2 * n + 1] - result.logits[2 * n]
        let error = Double(abs(own - wanted.first!))
        #expect(error < max(1e-4 * Double(abs(wanted.first!)), 3 * Double(wanted.last!)) + 1e-6)
        if form.head == .patch { #expect(result.logits[2 * n] == 0) }
        let positions = NetworkGolden.Sketch(next(NetworkGolden.Sketch.count))
        if form.head == .patch {
          // An activation map is a class's logits but for its bias.
          let bias = detector.tensors(of: detector.values.baseAddress!).last!.values
          let map = maps[n * size..<(n + 1) * size]
          let interleaved = (0..<size / 2).flatMap { p in
            [0, 1].map { k in map[map.startIndex + k * size / 2 + p] + bias[k] }
          }
          #expect(positions.relativeError(of: interleaved) < Self.tolerance(1e-4, positions))
        }
        let sketch = NetworkGolden.Sketch(next(NetworkGolden.Sketch.count))
        let map = result.attention(n)
        #expect(sketch.relativeError(of: map) < Self.tolerance(1e-3, sketch), "\(crop), \(n)")
        #expect(map.indices.max { map[$0] < map[$1] } == golden.mostSensitive[n])
      }

      let count = golden.trainingImages.count
      let program = TrainingProgram(
        detector, crop: crop, batch: count, workers: workers,
        reduction: crop == 97 ? StatisticsReduction(ranks: 1) { _ in } : nil)
      let (batch, labels) = Fixture.batch(golden.trainingImages, crop: crop)
      let step = try TrainingResult.of(program, batch, labels)
      let lossTolerance = max(1e-5 * golden.loss, 3 * abs(golden.float32Loss - golden.loss))
      #expect(abs(step.loss - golden.loss) < lossTolerance)
      let gradients = detector.tensors(of: detector.gradients.baseAddress!)
      for gradient in gradients.sorted(by: { $0.name < $1.name }) {
        let sketch = NetworkGolden.Sketch(next(NetworkGolden.Sketch.count))
        let error = sketch.relativeError(of: gradient.values)
        #expect(error < Self.tolerance(1e-3, sketch), "\(crop): \(gradient.name) \(error)")
      }
      let statistics = detector.weights().filter { $0.name.contains(".running_") }
      for statistic in statistics.sorted(by: { $0.name < $1.name }) {
        let sketch = NetworkGolden.Sketch(next(NetworkGolden.Sketch.count))
        let error = sketch.relativeError(of: statistic.values)
        #expect(error < Self.tolerance(1e-4, sketch), "\(crop): \(statistic.name)")
      }
    }
  }

  // MARK: Declarations

  /// Behind the last stage, with the same head, a network is whole.
  @Test func cutBehindItsLastStageANetworkIsWhole() throws {
    for (name, stage) in [(DetectorName.resnet18, "layer4"), (.vgg16BN, "features.43")] {
      let form = DetectorForm(name, truncate: stage)
      #expect(form.stages.last == stage)
      let whole = try Fixture.drawn(name)
      let cut = Detector(form)
      #expect(try cut.load(whole.weights(), from: "file", seed: 0).isEmpty)
      let (images, labels) = Fixture.batch([2, 5], crop: 64)
      let workers = WorkerPool(threads: 2)
      var results: [TrainingResult] = []
      for detector in [whole, cut] {
        let program = TrainingProgram(detector, crop: 64, batch: 2, workers: workers)
        results.append(try TrainingResult.of(program, images, labels))
      }
      #expect(results[0] == results[1])
    }
  }

  @Test func stagesOfXceptionAreItsBlocks() {
    #expect(DetectorForm(.xception).stages == (1...12).map { "block\($0)" })
  }

  /// Every stage of every network ends it, with either head, in finite numbers.
  @Test func everyStageEndsANetwork() throws {
    let workers = WorkerPool(threads: 2)
    for name in DetectorName.allCases where name != .xception {
      let stages = DetectorForm(name).stages
      #expect(stages.count > 1 && Set(stages).count == stages.count)
      let parameters = stages.map { stage in
        DetectorForm(name, truncate: stage).graph.parameters.count
      }
      #expect(zip(parameters, parameters.dropFirst()).allSatisfy { $0 <= $1 })
      for stage in [stages[0], stages[stages.count / 2]] {
        for head in [HeadKind.linear, .patch] {
          let form = DetectorForm(name, truncate: stage, head: head)
          #expect(form.problem == nil && form.hasActivationMaps)
          let detector = Detector(form)
          detector.initialise(seed: 3)
          let crop = name == .mesoInception4 ? 256 : 40
          let (images, _) = Fixture.batch([3], crop: crop)
          let program = AttentionProgram(detector, crop: crop, workers: workers)
          program.refresh()
          let result = AttentionResult.of(program, images, selected: [0])
          let isFinite = (result.logits + result.gradients).allSatisfy(\.isFinite)
          #expect(isFinite, "\(form)")
          #expect(result.gradients.contains { $0 != 0 }, "\(form)")
        }
      }
    }
  }

  @Test func whatThereIsNotIsRefused() throws {
    let unknown = try #require(DetectorForm(.resnet18, truncate: "layer5").problem)
    #expect(!unknown.concernsHead && unknown.text.contains("'layer5', no stage of resnet18"))
    #expect(unknown.text.contains("layer1, layer2, layer3, layer4"))
    let near = try #require(DetectorForm(.efficientnetB0, truncate: "block.2").problem)
    #expect(near.text.contains("did you mean 'blocks.2'?"))
    let noMap = try #require(DetectorForm(.convnextTiny, head: .patch).problem)
    #expect(noMap.concernsHead && noMap.text.contains("stages.0, stages.1, stages.2, stages.3"))
    for form in [
      DetectorForm(.resnet18), DetectorForm(.xception, head: .patch),
      DetectorForm(.convnextTiny, truncate: "stages.3", head: .patch),
    ] {
      #expect(form.problem == nil)
    }
    #expect(
      "\(DetectorForm(.xception, truncate: "block2", head: .patch))"
        == "xception up to block2 with a patch head")
  }

  // MARK: Scores

  @Test func aScoreIsTheMeanOfSoftmax() {
    let logits = [(0.5, -1.0), (-2.0, 3.0), (0, 0), (4.0, 4.5)]
    var score = PatchScore()
    for (real, fake) in logits { score.add(real: real, fake: fake) }
    let p = logits.reduce(0) { $0 + 1 / (1 + exp($1.0 - $1.1)) } / Double(logits.count)
    #expect(abs(score.logit - log(p / (1 - p))) < 1e-12)
    // One position is itself, however sure.
    for margin in [-1000.0, -40, 0, 3, 800] {
      var score = PatchScore()
      score.add(real: 0, fake: margin)
      #expect(abs(score.logit - margin) < 1e-9)
    }
    // Where all are sure, neither side is rounded away: 1 − p is that of the least sure.
    var sure = PatchScore()
    sure.add(real: 0, fake: 50)
    sure.add(real: 0, fake: 900)
    #expect(abs(sure.logit - (50 + log(2))) < 1e-9)
    var none = PatchScore()
    none.add(real: 0, fake: .nan)
    #expect(none.logit.isNaN)
  }

  // MARK: Weights

  /// A file of the whole network begins a truncated one, and is none by itself.
  @Test(arguments: [DetectorName.resnet18, .xceptionTiny, .efficientnetPyTorchB0])
  func aFileOfTheWholeNetworkBeginsATruncatedOne(name: DetectorName) throws {
    let stage = DetectorForm(name).stages[1]
    let whole = Detector(name)
    whole.initialise(seed: 21)
    var tensors = whole.weights()
    if name == .efficientnetPyTorchB0 {
      // By the names of the package.
      let table = name.publishedNames.tables[0]
      tensors = tensors.map {
        var tensor = $0
        tensor.name = PublishedNames.renamed($0.name, by: table)
          .replacingOccurrences(of: "classifier.", with: "_fc.")
        return tensor
      }
    }
    for head in [HeadKind.linear, .patch] {
      let form = DetectorForm(name, truncate: stage, head: head)
      let detector = Detector(form)
      let remarks = try detector.load(
        tensors, from: "whole", seed: 4,
        head: HeadReading(form: head == .patch ? .patch : .softmax, isReplaceable: true)
      ).map(\.description)
      let behind = whole.weights().count - detector.weights().count
      #expect(remarks.contains("note: whole: \(behind) tensors behind \(stage) are left aside"))
      #expect(
        remarks.contains {
          $0.contains("the classifier is that of a longer network; a fresh one")
        },
        "\(remarks)")
      let originals = Dictionary(uniqueKeysWithValues: whole.weights().map { ($0.name, $0) })
      for tensor in detector.weights() where !tensor.name.hasPrefix(detector.headName) {
        #expect(tensor.values == originals[tensor.name]!.values, "\(tensor.name)")
      }
      let error = #expect(throws: WeightsError.self) {
        try Detector(form).load(tensors, from: "whole", seed: 4)
      }
      #expect(error?.description.contains("it holds the whole \(name.rawValue)") == true)
      // Its own are read as they are, and are those of no whole network.
      let own = detector.weights()
      let again = Detector(form)
      #expect(try again.load(own, from: "own", seed: 9).isEmpty)
      #expect(again.weights() == own)
      let shapes = Dictionary(uniqueKeysWithValues: own.map { ($0.name, $0.shape) })
      #expect(WeightsDescription(of: shapes) == nil)
      #expect(WeightsDescription(of: shapes, truncate: stage, head: head)?.form.truncate == stage)
      #expect(throws: WeightsError.self) { try whole.load(own, from: "own", seed: 9) }
    }
  }

  // MARK: Laws

  @Test func patchesDoNotDependOnTheThreadsAndAreNearInBothPrecisions() throws {
    // Smooth, so that rounding to bfloat16 moves nothing across a kink.
    let form = DetectorForm(.efficientnetB0, truncate: "blocks.3", head: .patch)
    let (images, labels) = Fixture.batch([2, 5, 7, 12, 15], crop: 64)
    var results: [TrainingResult] = []
    let ways: [(Int, Precision)] = [(1, .float32), (3, .float32), (2, .bfloat16)]
    for (threads, precision) in ways {
      let detector = try Self.drawn(form)
      let program = TrainingProgram(
        detector, crop: 64, batch: 5, precision: precision, workers: WorkerPool(threads: threads))
      results.append(try TrainingResult.of(program, images, labels))
    }
    #expect(results[0] == results[1])
    for narrow in results.dropFirst(2) {
      #expect(narrow.logits != results[0].logits)
      #expect(abs(narrow.loss - results[0].loss) < 0.05 * results[0].loss)
      #expect(cosine(narrow.gradients, results[0].gradients) > 0.9)
    }
  }
}
