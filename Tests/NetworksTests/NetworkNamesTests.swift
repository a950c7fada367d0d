import Testing

@testable import Networks

/// Files of other programs with the networks of the general engine.
@Suite struct NetworkNamesTests {
  private func message(_ body: () throws -> Void) -> String {
    do {
      try body()
      return "no error"
    } catch {
      return "\(error)"
    }
  }

  private func shapes(_ tensors: [NamedTensor]) -> [String: [Int]] {
    Dictionary(tensors.map { ($0.name, $0.shape) }, uniquingKeysWith: { $1 })
  }

  /// Each network's tensors are told from all others' by their names and shapes.
  @Test(arguments: DetectorName.allCases)
  func tensorsTellTheirNetwork(name: DetectorName) throws {
    // EfficientNets of other programs have the names of timm's here: metadata tell them apart.
    let twins: [DetectorName: DetectorName] = [
      .tfEfficientnetB0: .efficientnetB0, .tfEfficientnetB4: .efficientnetB4,
      .efficientnetPyTorchB0: .efficientnetB0, .efficientnetPyTorchB4: .efficientnetB4,
      .deepfakebenchEfficientnetB4: .efficientnetB4,
    ]
    let tensors = Detector(name).weights()
    #expect(WeightsDescription(of: shapes(tensors))?.model == twins[name] ?? name)
    // Behind a prefix, with the counters that every PyTorch model has, without the head.
    let head = Detector(name).headName
    let others = tensors.filter { !$0.name.hasPrefix(head + ".") }.map {
      NamedTensor(name: "module.backbone.\($0.name)", shape: $0.shape, values: $0.values)
    }
    let found = try #require(WeightsDescription(of: shapes(others)))
    #expect(
      found.model == twins[name] ?? name && found.prefix == "module.backbone." && found.head == nil)
    #expect(WeightsDescription.problem(of: shapes(others)) == nil)
  }

  /// The nearest network is named with what differs.
  @Test func whatResemblesANetworkIsToldApart() throws {
    var found = shapes(Detector(.resnet34).weights())
    found["layer2.0.bn1.weight"] = nil
    let problem = try #require(WeightsDescription.problem(of: found))
    #expect(WeightsDescription(of: found) == nil)
    #expect(
      problem.contains("layer2.0.bn1.weight") && problem.contains("resnet34")
        && problem.contains("is missing"), "\(problem)")
  }

  @Test func deepfakeBenchsNumbersAreResNetsLayers() throws {
    let detector = try Fixture.drawn(.resnet34)
    let numbers = [
      "conv1": "0", "bn1": "1", "layer1": "4", "layer2": "5", "layer3": "6", "layer4": "7",
    ]
    let renamed = detector.weights().map { tensor -> NamedTensor in
      var tensor = tensor
      let first = String(tensor.name.prefix { $0 != "." })
      let rest = tensor.name.dropFirst(first.count)
      tensor.name =
        numbers[first].map { "backbone.resnet.\($0)\(rest)" } ?? "backbone.\(tensor.name)"
      return tensor
    }
    let loaded = Detector(.resnet34)
    let remarks = try loaded.load(renamed, from: "bench.pth", seed: 1)
    #expect(remarks.map(\.text) == ["bench.pth: 'backbone.resnet.' is taken off its names"])
    #expect(Array(loaded.values) == Array(detector.values))
    #expect(Array(loaded.runningStatistics) == Array(detector.runningStatistics))
    #expect(WeightsDescription(of: shapes(renamed))?.model == .resnet34)
  }

  /// Whose EfficientNet it is, the names tell: the arithmetic is another.
  @Test(arguments: [
    (DetectorName.efficientnetPyTorchB0, "module.", "module._fc"),
    (.efficientnetPyTorchB4, "net.", "net._fc"),
    (.deepfakebenchEfficientnetB4, "backbone.efficientnet.", "backbone.last_layer"),
  ])
  func efficientNetsOfOtherProgramsAreTold(
    name: DetectorName, prefix: String, head: String
  ) throws {
    let detector = try Fixture.drawn(name)
    let table = try #require(name.publishedNames.tables.first)
    let renamed = detector.weights().map { tensor -> NamedTensor in
      var tensor = tensor
      tensor.name =
        tensor.name.hasPrefix("classifier.")
        ? head + tensor.name.dropFirst("classifier".count)
        : prefix + PublishedNames.renamed(tensor.name, by: table)
      return tensor
    }
    #expect(renamed.contains { $0.name == "\(prefix)_blocks.2._expand_conv.weight" })
    #expect(renamed.contains { $0.name == "\(prefix)_blocks.0._bn2.running_var" })
    #expect(WeightsDescription(of: shapes(renamed))?.model == name)
    let loaded = Detector(name)
    let remarks = try loaded.load(renamed, from: "other.pth", seed: 1)
    #expect(remarks.map(\.text) == ["other.pth: '\(prefix)' is taken off its names"])
    #expect(Array(loaded.values) == Array(detector.values))
    let timms = message { try Detector(.efficientnetB4).load(renamed, from: "o", seed: 1) }
    #expect(timms.contains("efficientnet-b4"))
  }

  /// torchvision's and timm's linear layers of VGG have no place here: left aside, and said.
  @Test func linearLayersOfVGGAreLeftAside() throws {
    let detector = try Fixture.drawn(.vgg16BN)
    let body = detector.weights().filter { !$0.name.hasPrefix("fc.") }
    let layers = ["classifier.0.weight", "classifier.3.weight", "classifier.6.bias"].map {
      NamedTensor(name: $0, shape: [2], values: [1, 2])
    }
    let loaded = Detector(.vgg16BN)
    let remarks = try loaded.load(
      body + layers, from: "vgg16_bn.pth", seed: 1, head: HeadReading(isReplaceable: true))
    #expect(remarks.contains { $0.isWarning && $0.text.contains("3 tensors of 'classifier.'") })
    #expect(remarks.contains { $0.isWarning && $0.text.contains("has no classifier") })
    let refused = message { try loaded.load(body + layers, from: "vgg16_bn.pth", seed: 1) }
    #expect(refused.contains("has no head (tensor fc.weight)"), "\(refused)")
  }

  /// The head has another name in each network.
  @Test(arguments: [
    (DetectorName.efficientnetB0, "fc"), (.mobilenetV2, "classifier"),
    (.convnextTiny, "fc"), (.resnet18, "last_linear.1"),
  ])
  func headsOfOtherNamesAreRead(name: DetectorName, head: String) throws {
    let detector = try Fixture.drawn(name)
    let tensors = detector.weights().map { tensor -> NamedTensor in
      var tensor = tensor
      if tensor.name.hasPrefix(detector.headName + ".") {
        tensor.name = head + tensor.name.dropFirst(detector.headName.count)
      }
      return tensor
    }
    let loaded = Detector(name)
    #expect(try loaded.load(tensors, from: "test", seed: 1).isEmpty)
    #expect(Array(loaded.values) == Array(detector.values))
  }
}
