import Foundation
import TestSupport
import Testing

@testable import Foundations
@testable import Networks
@testable import Tensors

/// Exported networks, read back by `ONNXReading` and run by `ONNXRunning`, which share nothing with the
/// writer or the engines.
@Suite(.serialized) struct ONNXExportTests {
  private let folder: TemporaryFolder

  init() { folder = TemporaryFolder() }

  private func exported(
    _ detector: Detector, crop: Int, metadata: [(key: String, value: String)] = []
  ) throws -> ONNXReading {
    let path = folder("model.onnx")
    try ONNXModel(detector, crop: crop, version: "1.2.3", metadata: metadata).write(to: path)
    return try ONNXReading(Array(Data(contentsOf: URL(filePath: path))))
  }

  /// Images as PyTorch has them, (N, 3, height, width).
  private static func channelsFirst(_ images: [Float], crop: Int) -> ONNXRunning.Map {
    let pixels = crop * crop
    var map = ONNXRunning.Map([images.count / pixels / 3, 3, crop, crop])
    for (place, value) in images.enumerated() {
      let (pixel, channel) = (place / 3, place % 3)
      let (image, rest) = (pixel / pixels, pixel % pixels)
      map.values[(image * 3 + channel) * pixels + rest] = Double(value)
    }
    return map
  }

  /// What any exported model must be, whatever it computes.
  private func expectSound(_ model: ONNXReading, crop: Int) {
    #expect(model.formatVersion == 8 && model.operatorSets == ["": 17])
    #expect(model.producer == "rfm" && model.producerVersion == "1.2.3")
    #expect(
      model.inputs == [.init(name: "image", type: 1, shape: ["N", "3", "\(crop)", "\(crop)"])])
    #expect(model.outputs == [.init(name: "logits", type: 1, shape: ["N", "2"])])
    var known: Set = ["image"]
    for tensor in model.tensors {
      #expect(known.insert(tensor.name).inserted, "\(tensor.name) is there twice")
      let count = tensor.shape.reduce(1, *)
      #expect(
        tensor.type == 1 && tensor.floats.count == count && tensor.integers.isEmpty
          || tensor.type == 7 && tensor.integers.count == count && tensor.floats.isEmpty,
        "\(tensor.name) \(tensor.shape)")
    }
    var read: Set<String> = []
    var names: Set<String> = []
    for node in model.nodes {
      #expect(!node.name.isEmpty && names.insert(node.name).inserted, "\(node.name)")
      for input in node.inputs {
        #expect(known.contains(input), "\(node.name) reads \(input) before it is there")
        read.insert(input)
      }
      #expect(node.outputs.count == 1 && known.insert(node.outputs[0]).inserted, "\(node.name)")
      for (name, type) in node.types {
        let count = node.integers[name]?.count
        #expect(
          type == 1 && node.numbers[name] != nil || type == 2 && count == 1
            || type == 7 && (count ?? 0) > 1, "\(node.name) \(name)")
      }
    }
    // Nothing is there in vain.
    #expect(known.subtracting(read) == ["logits"])
  }

  /// How far our logits of these images are from the model's, relative to their L2 norm.
  private func distance(
    _ detector: Detector, _ model: ONNXReading, crop: Int, _ numbers: [Int]
  ) throws -> Double {
    let (images, _) = Fixture.batch(numbers, crop: crop)
    let program = InferenceProgram(detector, crop: crop, workers: WorkerPool(threads: 2))
    program.refresh()
    let ours = program.logits(images, count: numbers.count)
    let theirs = try ONNXRunning.run(model, Self.channelsFirst(images, crop: crop))
    #expect(theirs.shape == [numbers.count, 2])
    // Images have logits of their own.
    #expect(abs(theirs.values[1] - theirs.values[3]) > 1e-4)
    let difference = zip(ours, theirs.values).reduce(0.0) {
      $0 + (Double($1.0) - $1.1) * (Double($1.0) - $1.1)
    }
    return (difference / theirs.values.reduce(0.0) { $0 + $1 * $1 }).squareRoot()
  }

  private func expectSame(
    _ detector: Detector, _ model: ONNXReading, crop: Int, _ numbers: [Int]
  ) throws {
    #expect(try distance(detector, model, crop: crop, numbers) < 1e-4)
  }

  /// An odd crop, or an even one; both where padding depends on the size.
  private static let cases: [(DetectorName, Int)] = DetectorName.allCases.flatMap { name in
    let crops =
      switch name {
      case .mesoInception4: [256]
      case .tfEfficientnetB0, .efficientnetPyTorchB0: [33, 38]
      case .tfEfficientnetB4, .efficientnetPyTorchB4: [38]
      default: [33]
      }
    return crops.map { (name, $0) }
  }

  @Test(arguments: cases)
  func exportedNetworksGiveOurLogits(name: DetectorName, crop: Int) throws {
    let detector = try Fixture.drawn(name)
    let model = try exported(detector, crop: crop)
    expectSound(model, crop: crop)
    #expect(model.name == name.rawValue)
    try expectSame(detector, model, crop: crop, [3, 8])

    // Every norm is part of a convolution, but where a network has it elsewhere.
    let operators = Dictionary(grouping: model.nodes, by: \.operation).mapValues(\.count)
    let layers = detector.parameters.count { $0.shape.count == 4 }
    let pixelwise = detector.parameters.count {
      $0.name.contains(".mlp.fc") && $0.shape.count == 2
    }
    #expect(operators["Conv"] == layers + pixelwise)
    #expect(operators["BatchNormalization"] == nil)
    let scaled = model.tensors.filter { $0.name.hasSuffix(".scale") }.map(\.name)
    let norms = name == .mesoInception4 ? ["Incption1_bn", "Incption2_bn", "bn1"] : []
    #expect(scaled == norms.map { $0 + ".scale" })
    #expect(!model.tensors.contains { $0.name.hasSuffix("gamma") })
  }

  /// Every layer, window, padding and activation.
  @Test(arguments: GraphTests.middles)
  func exportedLayersGiveOurLogits(middle: GraphTests.Middle) throws {
    let detector = GraphTests.detector(GraphTests.network(middle))
    let model = try exported(detector, crop: GraphTests.crop)
    expectSound(model, crop: GraphTests.crop)
    try expectSame(detector, model, crop: GraphTests.crop, [3, 8, 13])
  }

  /// A gate that a matrix makes, a norm behind one, and a map that a norm and others read.
  @Test func layersThatNoNetworkHasAreExportedToo() throws {
    var net = NetworkBuilder()
    let x = net.convolution("first", net.image, 6, Window(3, stride: 2), bias: true)
    var gate = net.linear("gate", net.globalAverage(x), 6)
    gate = net.activation(.sigmoid, net.batchNorm("norm2", gate))
    var y = net.gated(net.batchNorm("norm1", x), by: gate)
    y = net.sum(net.activation(.identity, x), y)
    y = net.layerScale("factor", net.relu(y), initial: 0.5)
    let graph = net.graph(head: "head", of: net.globalAverage(y))
    let detector = GraphTests.detector(graph)
    let model = try exported(detector, crop: GraphTests.crop)
    expectSound(model, crop: GraphTests.crop)
    try expectSame(detector, model, crop: GraphTests.crop, [3, 8, 13])
    #expect(model.nodes.contains { $0.operation == "Unsqueeze" })
  }

  /// A norm in front of which a path leaves: what that path has is not normalised.
  @Test(arguments: [false, true])
  func whatAnotherPathReadsIsNotNormalised(isNormFirst: Bool) throws {
    var net = NetworkBuilder()
    let x = net.convolution("first", net.image, 6, Window(3, stride: 2), bias: true)
    var paths: [NetworkBuilder.Value] = []
    if !isNormFirst { paths.append(net.relu(x)) }
    paths.append(net.relu(net.batchNorm("norm1", x)))
    paths.append(net.relu(net.layerScale("factor", net.activation(.identity, x), initial: 0.5)))
    if isNormFirst { paths.append(net.relu(x)) }
    let y = net.concatenation(paths)
    let detector = GraphTests.detector(net.graph(head: "head", of: net.globalAverage(y)))
    let model = try exported(detector, crop: GraphTests.crop)
    expectSound(model, crop: GraphTests.crop)
    try expectSame(detector, model, crop: GraphTests.crop, [3, 8, 13])
  }

  /// Networks that end behind a stage, in an average or in logits at each position.
  @Test(arguments: [
    DetectorForm(.xceptionTiny, truncate: "block3"), .init(.xceptionTiny, head: .patch),
    .init(.resnet18, truncate: "layer2", head: .patch),
  ])
  func networksThatEndElsewhereGiveOurLogits(form: DetectorForm) throws {
    let detector = Detector(form)
    detector.initialise(seed: 4)
    let model = try exported(detector, crop: 64)
    expectSound(model, crop: 64)
    try expectSame(detector, model, crop: 64, [3, 8])
    #expect(model.nodes.contains { $0.operation == "LogSoftmax" } == (form.head == .patch))
  }

  /// These tests see what they are there for.
  @Test func aPaddingOrANormThatIsWrongIsNoticed() throws {
    let detector = try Fixture.drawn(.tfEfficientnetB0)
    let model = try exported(detector, crop: 38)
    #expect(try distance(detector, model, crop: 38, [3, 8]) < 1e-5)
    for (place, node) in model.nodes.enumerated() {
      guard let pads = node.integers["pads"], pads[0] != pads[2] else { continue }
      var other = model
      other.nodes[place].integers["pads"] = [pads[2], pads[3], pads[0], pads[1]]
      #expect(try distance(detector, other, crop: 38, [3, 8]) > 1e-4, "\(node.name)")
    }
    let bias = try #require(model.tensors.firstIndex { $0.name == "blocks.2.0.conv_dw.bias" })
    var other = model
    for c in other.tensors[bias].floats.indices { other.tensors[bias].floats[c] *= 1.05 }
    #expect(try distance(detector, other, crop: 38, [3, 8]) > 1e-4)
  }

  @Test func metadataAreTextsAndTheFileIsKnownForWhatItIs() throws {
    let metadata = [("model", "xception-tiny"), ("mean", "[0.5, 0.25, 1.0]"), ("empty", "")]
    let model = try exported(
      Fixture.drawn(.xceptionTiny), crop: 64, metadata: metadata.map { (key: $0.0, value: $0.1) })
    #expect(model.metadata == Dictionary(uniqueKeysWithValues: metadata))
    #expect(try FileKind.of(folder("model.onnx"))?.name == "an ONNX model")
  }

  /// Nothing that is no number is written, and what stood there stays.
  @Test func whatIsNotFiniteIsNamedAndLeavesTheFileThatWasThere() throws {
    let detector = try Fixture.drawn(.xceptionTiny)
    let path = folder("model.onnx")
    try DurableFile.write("before", to: path)
    let norm = detector.norms[3]
    detector.runningVariance(norm)[2] = -1
    let error = #expect(throws: WeightsError.self) {
      try ONNXModel(detector, crop: 64, version: "1").write(to: path)
    }
    #expect(
      error?.description.contains("block1.rep.0.pointwise.weight is not finite") == true,
      "\(String(describing: error)) \(norm.name)")
    #expect(try String(contentsOfFile: path, encoding: .utf8) == "before")
    #expect(try folder.contents() == ["model.onnx"])
  }
}
