import Foundation
import Testing

@testable import Networks
@testable import Tensors

@Suite(.serialized) struct DetectorWeightsTests {
  private static func changed(
    _ tensors: [NamedTensor], _ name: String, _ change: (inout NamedTensor) -> Void
  ) throws -> [NamedTensor] {
    var tensors = tensors
    let index = try #require(tensors.firstIndex { $0.name == name })
    change(&tensors[index])
    return tensors
  }

  private static func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "no error"
    } catch {
      return "\(error)"
    }
  }

  /// Of the others ``NetworkAgreementTests/weightsAreBitwisePythons(name:)`` tells it.
  @Test(arguments: [DetectorName.xception, .xceptionTiny])
  func namesAndShapesAreThePublishedOnes(name: DetectorName) throws {
    let detector = Detector(name)
    let published = try OracleModel(name.rawValue).shapes
    let own = Dictionary(uniqueKeysWithValues: detector.weights().map { ($0.name, $0.shape) })
    #expect(own == published)
    let trainable = published.filter { !$0.key.contains(".running_") }
    #expect(detector.parameterCount == trainable.values.reduce(0) { $0 + $1.reduce(1, *) })
    if name == .xception {
      // timm's legacy_xception, with a classifier of two classes instead of 1000.
      #expect(detector.parameterCount == 22_855_952 - 2048 * 998 - 998)
    }
  }

  @Test func parametersLieApartInTheArena() {
    for name in DetectorName.allCases {
      let detector = Detector(name)
      let ranges = detector.parameters.map { $0.offset..<$0.offset + $0.storedCount }
        .sorted { $0.lowerBound < $1.lowerBound }
      #expect(zip(ranges, ranges.dropFirst()).allSatisfy { $0.upperBound <= $1.lowerBound })
      #expect(ranges.first?.lowerBound == 0)
      #expect(ranges.last!.upperBound <= detector.values.count)
      #expect(detector.values.count == detector.gradients.count)
      #expect(detector.parameters.allSatisfy { $0.offset % 16 == 0 })
    }
  }

  /// Every value where it was, whatever the layout in between.
  @Test func exportGivesBackWhatWasLoaded() throws {
    let tensors = try Fixture.tensors(.xceptionTiny)
    let detector = Detector(.xceptionTiny)
    let warnings = try detector.load(tensors.shuffled(), from: "test", seed: 1)
    #expect(warnings.isEmpty)
    let exported = Dictionary(uniqueKeysWithValues: detector.weights().map { ($0.name, $0) })
    #expect(exported.count == tensors.count)
    for tensor in tensors { #expect(exported[tensor.name] == tensor) }
  }

  @Test func weightsSurviveASafetensorsFile() throws {
    let folder = FileManager.default.temporaryDirectory
      .appendingPathComponent("rfm-weights-\(UUID().uuidString)")
    try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(at: folder) }
    let path = folder.appendingPathComponent("model.safetensors").path
    let detector = try Fixture.detector("xception-tiny")
    try Safetensors.write(detector.weights(), metadata: ["format": "pt"], to: path)
    let other = Detector(.xceptionTiny)
    #expect(try other.load(Safetensors.read(path), from: path, seed: 9).isEmpty)
    #expect(Array(other.values) == Array(detector.values))
    #expect(Array(other.runningStatistics) == Array(detector.runningStatistics))
    let (images, _) = Fixture.batch([1, 2], crop: 40)
    let logits = [detector, other].map { detector in
      let program = InferenceProgram(detector, crop: 40, workers: WorkerPool(threads: 1))
      program.refresh()
      return program.logits(images, count: 2)
    }
    #expect(logits[0] == logits[1])
  }

  @Test func anotherArenaIsExportedAndStoredAlike() throws {
    let detector = try Fixture.detector("xception-tiny")
    let moments = AlignedMemory(size: detector.values.count * 4)
    try detector.store(
      detector.tensors(of: detector.values.baseAddress!), into: moments.floats(), from: "test")
    let copy = UnsafeBufferPointer(start: moments.floats(), count: detector.values.count)
    #expect(Array(copy) == Array(detector.values))
    let missing = Array(detector.tensors(of: detector.values.baseAddress!).dropFirst())
    #expect(
      Self.message { try detector.store(missing, into: moments.floats(), from: "moments") }
        == "moments: tensor conv1.weight is missing")
  }

  @Test func initialisationDependsOnTheSeedAlone() {
    func values(_ seed: UInt64, after other: UInt64? = nil) -> [Float] {
      let detector = Detector(.xceptionTiny)
      if let other { detector.initialise(seed: other) }
      detector.initialise(seed: seed)
      return Array(detector.values) + Array(detector.runningStatistics)
    }
    #expect(values(1) == values(1))
    #expect(values(1, after: 7) == values(1))
    #expect(values(1) != values(2))
  }

  /// He et al. 2015.
  @Test func initialisationHasTheVarianceThatReLUsNeed() throws {
    let detector = Detector(.xceptionTiny)
    detector.initialise(seed: 11)
    for tensor in detector.weights() {
      let values = tensor.values.map(Double.init)
      let square = values.reduce(0) { $0 + $1 * $1 } / Double(values.count)
      let fanIn = Double(tensor.shape.dropFirst().reduce(1, *))
      if tensor.name == "fc.weight" {
        #expect(values.allSatisfy { abs($0) <= 1 / fanIn.squareRoot() })
        #expect(square > 0)
      } else if tensor.shape.count == 4 {
        // A mean of n squares is off by √(2/n); four times that is not chance.
        let tolerance = 4 * (2 / Double(values.count)).squareRoot()
        #expect(abs(square * fanIn / 2 - 1) < tolerance, "\(tensor.name)")
      } else {
        let isOne = tensor.name.hasSuffix("var") || tensor.name.hasSuffix(".weight")
        #expect(values.allSatisfy { $0 == (isOne ? 1 : 0) }, "\(tensor.name)")
      }
    }
  }

  @Test func lastLinearIsReadAsTheClassifier() throws {
    let tensors = try Fixture.tensors(.xceptionTiny).map { tensor -> NamedTensor in
      var tensor = tensor
      if tensor.name.hasPrefix("fc.") {
        tensor.name = "last_linear." + tensor.name.dropFirst("fc.".count)
      }
      return tensor
    }
    let detector = Detector(.xceptionTiny)
    #expect(try detector.load(tensors, from: "test", seed: 1).isEmpty)
    let usual = try Fixture.detector("xception-tiny")
    #expect(detector.weights() == usual.weights())
  }

  @Test func pointwiseWeightsMayHaveTwoDimensions() throws {
    let tensors = try Fixture.tensors(.xceptionTiny).map { tensor -> NamedTensor in
      var tensor = tensor
      if tensor.name.hasSuffix("pointwise.weight") || tensor.name.hasSuffix("skip.weight") {
        tensor.shape = Array(tensor.shape.prefix(2))
      }
      return tensor
    }
    let detector = Detector(.xceptionTiny)
    #expect(try detector.load(tensors, from: "test", seed: 1).isEmpty)
    let usual = try Fixture.detector("xception-tiny")
    #expect(detector.weights() == usual.weights())
  }

  @Test func countsOfBatchesAreIgnored() throws {
    let tensors =
      try Fixture.tensors(.xceptionTiny)
      + [NamedTensor(name: "bn1.num_batches_tracked", shape: [], values: [7])]
    #expect(try Detector(.xceptionTiny).load(tensors, from: "test", seed: 1).isEmpty)
  }

  /// ImageNet's weights: every layer is taken but the classifier, which is drawn from the seed.
  @Test func aClassifierOfAThousandClassesIsReplacedWithAWarningForTraining() throws {
    let features = 384
    var tensors = try Fixture.tensors(.xceptionTiny)
    tensors = try Self.changed(tensors, "fc.weight") {
      $0.shape = [1000, features]
      $0.values = [Float](repeating: 3, count: 1000 * features)
    }
    tensors = try Self.changed(tensors, "fc.bias") {
      $0.shape = [1000]
      $0.values = [Float](repeating: 3, count: 1000)
    }
    let detector = Detector(.xceptionTiny)
    let remarks = try detector.load(
      tensors, from: "imagenet.safetensors", seed: 4, head: HeadReading(isReplaceable: true))
    #expect(
      remarks.map(\.description) == [
        "warning: imagenet.safetensors: the classifier has 1000 classes; it is replaced by a fresh one of "
          + "two classes"
      ])
    let fresh = Detector(.xceptionTiny)
    fresh.initialise(seed: 4)
    func tensor(_ name: String, of detector: Detector) -> NamedTensor? {
      detector.weights().first { $0.name == name }
    }
    #expect(tensor("fc.weight", of: detector) == tensor("fc.weight", of: fresh))
    #expect(tensor("fc.bias", of: detector)?.values == [0, 0])
    #expect(
      tensor("conv4.pointwise.weight", of: detector)
        == tensors.first { $0.name == "conv4.pointwise.weight" })
  }

  /// One line that names the source, the tensor and both shapes; the detector stays as it was.
  @Test func whatDoesNotFitIsNamedAndChangesNothing() throws {
    let tensors = try Fixture.tensors(.xceptionTiny)
    func without(_ name: String) -> [NamedTensor] { tensors.filter { $0.name != name } }
    let cases: [(tensors: [NamedTensor], message: String)] = [
      (
        try Self.changed(tensors, "block2.rep.1.pointwise.weight") {
          $0.shape = [96, 65, 1, 1]
          $0.values = [Float](repeating: 0, count: 96 * 65)
        },
        "w: tensor block2.rep.1.pointwise.weight has shape [96, 65, 1, 1], expected [96, 64, 1, 1]"
      ),
      (
        try Self.changed(tensors, "conv1.weight") { $0.shape = [3, 16, 3, 3] },
        "w: tensor conv1.weight has shape [3, 16, 3, 3], expected [16, 3, 3, 3]"
      ),
      (
        try Self.changed(tensors, "bn1.running_var") {
          $0.shape = [17]
          $0.values.append(0)
        }, "w: tensor bn1.running_var has shape [17], expected [16]"
      ),
      (
        try Self.changed(tensors, "fc.weight") {
          $0.shape = [1000, 100]
          $0.values = [Float](repeating: 0, count: 100_000)
        }, "w: tensor fc.weight has shape [1000, 100], expected [2, 384]"
      ),
      (
        // A depthwise weight may not lose its dimensions.
        try Self.changed(tensors, "conv3.conv1.weight") { $0.shape = [256, 9] },
        "w: tensor conv3.conv1.weight has shape [256, 9], expected [256, 1, 3, 3]"
      ),
      (
        without("conv4.conv1.weight"),
        "w: tensor conv4.conv1.weight [320, 1, 3, 3] of xception-tiny is missing"
      ),
      (
        without("bn4.running_mean"),
        "w: tensor bn4.running_mean [384] of xception-tiny is missing"
      ),
      (
        tensors + [NamedTensor(name: "block9.extra", shape: [1, 2], values: [0, 0])],
        "w: tensor block9.extra [1, 2] is not part of xception-tiny"
      ),
    ]
    let detector = Detector(.xceptionTiny)
    detector.initialise(seed: 21)
    let before = (Array(detector.values), Array(detector.runningStatistics))
    for (tensors, message) in cases {
      #expect(
        Self.message { _ = try detector.load(tensors, from: "w", seed: 1) } == message)
      #expect(Array(detector.values) == before.0)
      #expect(Array(detector.runningStatistics) == before.1)
    }
  }

  @Test func xceptionsWeightsDoNotFitTheTinyDetector() throws {
    let detector = Detector(.xceptionTiny)
    let message = Self.message {
      _ = try detector.load(Fixture.tensors(.xception), from: "w", seed: 1)
    }
    #expect(message == "w: tensor conv1.weight has shape [32, 3, 3, 3], expected [16, 3, 3, 3]")
  }
}
