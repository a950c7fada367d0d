import Foundation
import Testing

@testable import Networks
@testable import Tensors

/// Weights under the names that other programs give them. Golden file: Tests/Oracle/weight_forms.py.
@Suite(.serialized) struct WeightNamesTests {
  private static func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "no error"
    } catch {
      return "\(error)"
    }
  }

  private func renamed(
    _ tensors: [NamedTensor], _ change: (String) -> String
  ) -> [NamedTensor] {
    tensors.map { NamedTensor(name: change($0.name), shape: $0.shape, values: $0.values) }
  }

  private func tiny() throws -> [NamedTensor] { try Fixture.tensors(.xceptionTiny) }

  /// The tiny detector's tensors with another head, and what it had.
  private func tiny(
    head change: (_ weight: [Float], _ bias: [Float]) -> (weight: [Float], bias: [Float])
  ) throws -> [NamedTensor] {
    var tensors = try tiny()
    let weight = try #require(tensors.firstIndex { $0.name == "fc.weight" })
    let bias = try #require(tensors.firstIndex { $0.name == "fc.bias" })
    let new = change(tensors[weight].values, tensors[bias].values)
    tensors[weight].shape = [new.bias.count, 384]
    tensors[weight].values = new.weight
    tensors[bias].shape = [new.bias.count]
    tensors[bias].values = new.bias
    return tensors
  }

  private func load(
    _ tensors: [NamedTensor], _ head: HeadReading = HeadReading()
  ) throws -> (detector: Detector, remarks: [String]) {
    let detector = Detector(.xceptionTiny)
    let remarks = try detector.load(tensors, from: "w", seed: 4, head: head)
    return (detector, remarks.map(\.description))
  }

  // MARK: Published forms

  static let forms = [
    "timm", "cadene", "faceforensics", "deepfakebench", "parallel", "compiled", "checkpoint",
  ]

  /// The golden file's names and shapes, with values by their order: the same in each form.
  private func tensors(ofForm form: String) throws -> [NamedTensor] {
    let path = try #require(
      Bundle.module.url(forResource: "Golden/weight-names.json", withExtension: nil))
    let json = try JSONSerialization.jsonObject(with: Data(contentsOf: path))
    let entries = try #require((json as? [String: [[Any]]])?[form])
    var place = 0
    return try entries.compactMap { entry in
      let name = try #require(entry[0] as? String)
      let shape = try #require(entry[1] as? [Int])
      if name.hasSuffix("num_batches_tracked") { return nil }
      let isOther = ["adjust_channel", "state_dict_ema", "optimizer"].contains(where: name.contains)
      if !isOther { place += 1 }
      let start = Float(isOther ? -1 : place)
      return NamedTensor(
        name: name, shape: shape,
        values: (0..<shape.reduce(1, *)).map { start + Float($0 % 1000) / 1024 })
    }
  }

  @Test(arguments: forms) func everyPublishedFormOfXceptionIsTheSameDetector(form: String) throws {
    let usual = Detector(.xception)
    #expect(try usual.load(tensors(ofForm: "timm"), from: "timm", seed: 1).isEmpty)
    let other = Detector(.xception)
    let remarks = try other.load(tensors(ofForm: form).shuffled(), from: form, seed: 1)
      .map(\.description)
    #expect(Array(other.values) == Array(usual.values))
    #expect(Array(other.runningStatistics) == Array(usual.runningStatistics))
    let expected: [String] =
      switch form {
      case "faceforensics": ["note: faceforensics: 'model.' is taken off its names"]
      case "deepfakebench":
        [
          "note: deepfakebench: 'backbone.' is taken off its names",
          "warning: deepfakebench:  tensors of 'backbone.adjust_channel.' are left aside",
        ]
      case "parallel": ["note: parallel: 'module.' is taken off its names"]
      case "compiled": ["note: compiled: '_orig_mod.' is taken off its names"]
      case "checkpoint":
        [
          "note: checkpoint: 'state_dict.module.' is taken off its names",
          "warning: checkpoint:  tensors of 'optimizer.' are left aside",
          "warning: checkpoint:  tensors of 'state_dict_ema.' are left aside",
        ]
      default: []
      }
    #expect(remarks.count == expected.count, "\(remarks)")
    for (remark, words) in zip(remarks, expected) {
      // How many there are depends on what the library remembers.
      let plain = String(remark.filter { !$0.isNumber })
      #expect(plain == words, "\(remark)")
    }
  }

  // MARK: Prefixes

  @Test(arguments: [
    "module.", "model.", "backbone.", "net.", "_orig_mod.", "encoder.", "state_dict.module.",
    "model._orig_mod.module.backbone.xception.", "params.",
  ])
  func aPrefixOfAllNamesIsTakenOffAndSaid(prefix: String) throws {
    let usual = try load(tiny())
    #expect(usual.remarks.isEmpty)
    let other = try load(renamed(tiny()) { prefix + $0 })
    #expect(other.detector.weights() == usual.detector.weights())
    #expect(other.remarks == ["note: w: '\(prefix)' is taken off its names"])
  }

  @Test(arguments: [
    "last_linear", "last_linear.1", "classifier", "classifier.0", "head.fc", "head", "_fc", "fc.1",
  ])
  func theHeadHasManyNames(head: String) throws {
    func other(_ name: String) -> String {
      name.hasPrefix("fc.") ? head + name.dropFirst(2) : name
    }
    let usual = try load(tiny()).detector.weights()
    #expect(try load(renamed(tiny(), other)).detector.weights() == usual)
    // In the network, and beside it in what it is part of.
    #expect(try load(renamed(tiny()) { "module." + other($0) }).detector.weights() == usual)
    let beside = renamed(try tiny()) {
      $0.hasPrefix("fc.") ? "module." + other($0) : "module.backbone." + $0
    }
    #expect(try load(beside).detector.weights() == usual)
  }

  @Test func twoHeadsAreRefusedWithTheirNames() throws {
    let second = renamed(try tiny().filter { $0.name.hasPrefix("fc.") }) {
      "classifier.3" + $0.dropFirst(2)
    }
    let message = Self.message { _ = try load(tiny() + second) }
    #expect(message.contains("classifier.3.weight, fc.weight"), "\(message)")
  }

  // MARK: What else is in a file

  @Test func whatIsKnownToGiveNoLogitIsLeftAsideAndSaid() throws {
    func zeros(_ name: String, _ count: Int = 3) -> NamedTensor {
      NamedTensor(name: name, shape: [count], values: [Float](repeating: 0, count: count))
    }
    let extras = [
      zeros("adjust_channel.0.weight"), zeros("adjust_channel.1.bias"), zeros("ema.bn1.weight"),
      zeros("optimizer.state.0.exp_avg"), zeros("epoch", 1), zeros("bn1.num_batches_tracked", 1),
    ]
    let loaded = try load(tiny() + extras)
    #expect(
      loaded.remarks == [
        "warning: w: 2 tensors of 'adjust_channel.' are left aside",
        "warning: w: 1 tensor of 'ema.' is left aside",
        "warning: w: 1 tensor of 'epoch' is left aside",
        "warning: w: 1 tensor of 'optimizer.' is left aside",
      ])
    #expect(try loaded.detector.weights() == load(tiny()).detector.weights())
  }

  /// A layer that nobody knows may change the logits.
  @Test(arguments: ["attention.weight", "block3.se.weight", "temperature", "fc2.weight"])
  func whatIsNotKnownIsRefusedByName(name: String) throws {
    let extra = NamedTensor(name: name, shape: [1], values: [0])
    let message = Self.message { _ = try load(tiny() + [extra]) }
    #expect(message == "w: tensor \(name) [1] is not part of xception-tiny")
    let inside = Self.message {
      _ = try load(renamed(tiny()) { "backbone." + $0 } + [extra])
    }
    #expect(inside == "w: tensor \(name) [1] is not part of xception-tiny")
  }

  @Test func anAverageOfTheWeightsIsNotTakenForThem() throws {
    var average = renamed(try tiny()) { "model_ema." + $0 }
    for i in average.indices { average[i].values = average[i].values.map { $0 / 2 } }
    let usual = try load(tiny()).detector.weights()
    let both = try load(renamed(tiny()) { "model." + $0 } + average)
    #expect(both.detector.weights() == usual)
    #expect(both.remarks.contains { $0.contains("of 'model_ema.' are left aside") })
    // A file that has nothing else holds what was meant.
    let alone = try load(average)
    #expect(alone.remarks == ["note: w: 'model_ema.' is taken off its names"])
    #expect(alone.detector.weights() != usual)
  }

  @Test func twoDetectorsInAFileAreRefusedUnlessTheyAreTheSame() throws {
    let student = renamed(try tiny()) { "student." + $0 }
    var teacher = renamed(try tiny()) { "teacher." + $0 }
    // The same module under two names, as a wrapper may list it.
    let twice = try load(student + teacher)
    #expect(try twice.detector.weights() == load(tiny()).detector.weights())
    #expect(twice.remarks.contains("warning: w: 'teacher.' holds the same weights again"))
    teacher[0].values[0] += 1
    let message = Self.message { _ = try load(student + teacher) }
    #expect(
      message.contains("twice") && message.contains("'student.'") && message.contains("'teacher.'"),
      "\(message)")
  }

  // MARK: What does not fit

  @Test func whatIsMissingIsNamedWithItsNumberAndWhatResemblesIt() throws {
    let split = renamed(try tiny()) {
      $0 == "conv3.conv1.weight"
        ? "conv3.conv_dw.weight" : $0 == "conv3.pointwise.weight" ? "conv3.conv_pw.weight" : $0
    }
    let message = Self.message { _ = try load(split) }
    #expect(
      message
        == "w: tensor conv3.conv1.weight [256, 1, 3, 3] of xception-tiny is missing, and 1 other; it "
        + "has conv3.conv_dw.weight")
    let other = [NamedTensor(name: "layer1.0.conv1.weight", shape: [1], values: [0])]
    let foreign = Self.message { _ = try load(other) }
    #expect(foreign.contains("layer1.0.conv1.weight") && foreign.contains("another network's"))
    #expect(Self.message { _ = try load([]) } == "w: holds no tensor of floating-point numbers")
  }

  @Test(arguments: [Float.nan, .infinity, -.infinity])
  func whatIsNotFiniteIsRefusedByName(value: Float) throws {
    for name in ["block1.skip.weight", "bn1.running_var", "fc.weight", "fc.bias"] {
      var tensors = renamed(try tiny()) { "module." + $0 }
      let place = try #require(tensors.firstIndex { $0.name == "module." + name })
      tensors[place].values[1] = value
      let message = Self.message { _ = try load(tensors) }
      #expect(
        message.hasPrefix("w: tensor module.\(name) has 1 of its ")
          && message.contains("not finite"),
        "\(message)")
    }
  }

  // MARK: Heads

  /// Logits (real, fake) of some images.
  private func logits(_ detector: Detector) -> [Float] {
    let (images, _) = Fixture.batch([1, 2], crop: 40)
    let program = InferenceProgram(detector, crop: 40, workers: WorkerPool(threads: 1))
    program.refresh()
    return program.logits(images, count: 2)
  }

  @Test(arguments: [1, 3, 5, 1000]) func aHeadOfAnotherSizeIsReplacedForTrainingAlone(
    outputs: Int
  ) throws {
    let tensors = try tiny { _, _ in
      ([Float](repeating: 1, count: outputs * 384), [Float](repeating: 1, count: outputs))
    }
    let message = Self.message { _ = try load(tensors) }
    #expect(
      outputs == 1
        ? message.contains("one logit") && message.contains("--head sigmoid")
        : message.contains("\(outputs) classes") && message.contains("no detector"), "\(message)")
    let trained = try load(tensors, HeadReading(isReplaceable: true))
    #expect(trained.remarks.count == 1)
    #expect(trained.remarks[0].hasPrefix("warning: w: the classifier has "))
    #expect(trained.remarks[0].contains("replaced by a fresh one"))
    let fresh = Detector(.xceptionTiny)
    fresh.initialise(seed: 4)
    for name in ["fc.weight", "fc.bias"] {
      #expect(
        trained.detector.weights().first { $0.name == name }
          == fresh.weights().first { $0.name == name })
    }
  }

  @Test func aFileWithoutAHeadIsForTrainingAlone() throws {
    let body = try tiny().filter { !$0.name.hasPrefix("fc.") }
    #expect(Self.message { _ = try load(body) }.contains("it has no head (tensor fc.weight)"))
    let trained = try load(body, HeadReading(isReplaceable: true))
    #expect(trained.remarks[0].contains("it has no classifier"))
  }

  /// Weight and bias belong together.
  @Test func aHeadWhoseBiasHasAnotherSizeIsRefused() throws {
    var tensors = try tiny { _, _ in
      ([Float](repeating: 1, count: 3 * 384), [Float](repeating: 1, count: 3))
    }
    let bias = try #require(tensors.firstIndex { $0.name == "fc.bias" })
    tensors[bias] = NamedTensor(name: "fc.bias", shape: [2], values: [0, 0])
    for isReplaceable in [false, true] {
      let message = Self.message {
        _ = try load(tensors, HeadReading(isReplaceable: isReplaceable))
      }
      #expect(message == "w: tensor fc.bias has shape [2], expected [3]")
    }
  }

  @Test func oneLogitIsReadAsThatOfTheSecondClass() throws {
    let usual = logits(try load(tiny()).detector)
    let single = try tiny { weight, bias in
      (zip(weight[384...], weight[..<384]).map { $0 - $1 }, [bias[1] - bias[0]])
    }
    let read = logits(try load(single, HeadReading(form: .sigmoid)).detector)
    let exchanged = logits(
      try load(single, HeadReading(classes: .fakeReal, form: .sigmoid)).detector)
    for image in 0..<2 {
      let difference = usual[2 * image + 1] - usual[2 * image]
      #expect(read[2 * image] == 0)
      #expect(abs(read[2 * image + 1] - difference) < 1e-4)
      // Class 1 is real there.
      #expect(exchanged[2 * image + 1] == 0 && exchanged[2 * image] == read[2 * image + 1])
    }
    let two = Self.message { _ = try load(tiny(), HeadReading(form: .sigmoid)) }
    #expect(two.contains("has 2 logits, and sigmoid is for one"), "\(two)")
  }

  @Test func classesInTheOtherOrderAreExchanged() throws {
    let usual = logits(try load(tiny()).detector)
    let exchanged = logits(try load(tiny(), HeadReading(classes: .fakeReal)).detector)
    #expect(exchanged == [usual[1], usual[0], usual[3], usual[2]])
  }
}
