import Testing

@testable import Networks

/// Files of other programs with networks other than Xception.
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

  /// Networks of the same tensors are all named.
  @Test(arguments: DetectorName.allCases)
  func allNetworksOfTheTensorsAreNamed(name: DetectorName) {
    let families: [[DetectorName]] = [
      [.efficientnetB0, .tfEfficientnetB0, .efficientnetPyTorchB0],
      [
        .efficientnetB4, .tfEfficientnetB4, .efficientnetPyTorchB4, .deepfakebenchEfficientnetB4,
      ],
    ]
    let expected = families.first { $0.contains(name) } ?? [name]
    let found = shapes(Detector(name).weights())
    #expect(WeightsDescription.all(of: found).map(\.model) == expected)
    #expect(WeightsDifference(nearestTo: found)?.model == expected[0])
    // Nobody is corrected who is right, and all others are.
    for other in DetectorName.allCases {
      let correction = WeightsDescription.correction(of: found, takenFor: other, setting: "--model")
      #expect((correction == nil) == expected.contains(other), "\(other.rawValue)")
      if let correction {
        #expect(correction.hasPrefix("these are the weights of \(expected[0].rawValue)"))
        #expect(correction.hasSuffix(": use --model \(expected[0].rawValue)"))
        for twin in expected { #expect(correction.contains(twin.rawValue)) }
      }
    }
  }

  /// A network's names in another program's spelling.
  private func spelt(
    _ name: DetectorName, prefix: String, head: String, by table: [String: String]
  ) -> [String: [Int]] {
    let own = Detector(name).headName + "."
    return Dictionary(
      uniqueKeysWithValues: Detector(name).weights().map { tensor in
        (
          tensor.name.hasPrefix(own)
            ? "\(head).\(tensor.name.dropFirst(own.count))"
            : prefix + PublishedNames.renamed(tensor.name, by: table), tensor.shape
        )
      })
  }

  /// What differs from the nearest network, in the file's own spelling.
  @Test func whatDiffersFromTheNearestNetworkIsListed() throws {
    // torchvision's, of one block less and with another first convolution.
    var found = spelt(.resnet34, prefix: "module.", head: "module.fc", by: [:])
    for name in found.keys where name.hasPrefix("module.layer3.5.") { found[name] = nil }
    found["module.conv1.weight"] = [64, 1, 7, 7]
    found["module.extra.weight"] = [3, 4]
    found["module.layer1.0.bn1.num_batches_tracked"] = []
    var difference = try #require(WeightsDifference(nearestTo: found))
    #expect(difference.model == .resnet34 && difference.count == 180)
    #expect(difference.fitting == 169 && difference.missing.count == 10)
    #expect(
      difference.lines == [
        "nearest is resnet34: 169 of its 180 tensors are there in their shapes",
        "10 missing: module.layer3.5.conv1.weight [256, 256, 3, 3]; "
          + "module.layer3.5.bn1.weight [256]; module.layer3.5.bn1.bias [256]; and 7 more",
        "1 of another shape: module.conv1.weight [64, 1, 7, 7], expected [64, 3, 7, 7]",
        "1 not its own: module.extra.weight [3, 4]",
      ])
    #expect(WeightsDescription.all(of: found).isEmpty)
    #expect(WeightsDescription.problem(of: found)?.contains("module.conv1.weight") == true)

    // ResNet-34 has all names of ResNet-18; what lacks one of them is no less ResNet-18.
    found = shapes(Detector(.resnet18).weights())
    found["layer4.1.bn2.running_var"] = nil
    difference = try #require(WeightsDifference(nearestTo: found))
    #expect(difference.model == .resnet18 && difference.unexpected.isEmpty)
    #expect(difference.missing == [.init(name: "layer4.1.bn2.running_var", shape: [512])])

    // DeepfakeBench's numbers.
    let numbers = try #require(DetectorName.resnet34.publishedNames.tables.first)
    found = spelt(.resnet34, prefix: "backbone.resnet.", head: "backbone.fc", by: numbers)
    found["backbone.resnet.4.0.conv1.weight"] = nil
    difference = try #require(WeightsDifference(nearestTo: found))
    #expect(difference.model == .resnet34 && difference.unexpected.isEmpty)
    #expect(difference.missing.map(\.name) == ["backbone.resnet.4.0.conv1.weight"])
  }

  /// EfficientNets as the package and DeepfakeBench spell them, less one tensor.
  @Test(arguments: [
    (DetectorName.efficientnetPyTorchB0, "net.", "net._fc"),
    (.efficientnetPyTorchB4, "", "_fc"),
    (.deepfakebenchEfficientnetB4, "backbone.efficientnet.", "backbone.last_layer"),
  ])
  func theNearestEfficientNetIsThatOfTheSpelling(
    name: DetectorName, prefix: String, head: String
  ) throws {
    let table = try #require(name.publishedNames.tables.first)
    var found = spelt(name, prefix: prefix, head: head, by: table)
    #expect(WeightsDescription.all(of: found).map(\.model) == [name])
    let lost = "\(prefix)_blocks.3._expand_conv.weight"
    #expect(found.removeValue(forKey: lost) != nil)
    let difference = try #require(WeightsDifference(nearestTo: found))
    #expect(difference.model == name && difference.missing.map(\.name) == [lost])
    #expect(difference.reshaped.isEmpty && difference.unexpected.isEmpty)
    #expect(difference.fitting == difference.count - 1)
  }

  @Test func whatResemblesNoNetworkHasNoNearestOne() {
    let found = [
      "blocks.0.attn.qkv.weight": [2304, 768], "cls_token": [1, 1, 768], "conv1.weight": [1, 1],
    ]
    #expect(WeightsDifference(nearestTo: found) == nil)
    #expect(WeightsDescription.problem(of: found) == nil)
    #expect(WeightsDifference(nearestTo: [:]) == nil)
    #expect(
      WeightsDescription.correction(of: found, takenFor: .resnet18, setting: "--model") == nil)
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
