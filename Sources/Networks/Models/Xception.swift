extension DetectorName {
  /// Channels in the published order of Xception's blocks.
  var widths: XceptionWidths {
    switch self {
    case .xception:
      XceptionWidths(
        stem: (32, 64), entry: [128, 256, 728], middleBlocks: 8, exitBlock: 1024,
        exit: (1536, 2048))
    case .xceptionTiny:
      XceptionWidths(
        stem: (16, 32), entry: [64, 96, 160], middleBlocks: 2, exitBlock: 256, exit: (320, 384))
    default: preconditionFailure("\(rawValue) is no Xception")
    }
  }
}

extension PublishedNames {
  /// timm's `legacy_xception` has the names here; Cadene's pretrained-models, from which
  /// FaceForensics++ and DeepfakeBench have theirs, `last_linear` for the head, behind a dropout
  /// `last_linear.1`; DeepfakeBench adds `adjust_channel`, a layer for other networks' features.
  static let xception = PublishedNames(
    head: "fc", otherHeads: ["last_linear", "classifier", "head.fc", "head", "_fc"],
    extras: ["adjust_channel."])
}

extension NetworkGraph {
  /// Xception (Chollet 2017) with the names of timm's `legacy_xception`: `conv1`, `bn1`, `conv2`, `bn2`,
  /// `block1` … `block12` with `rep.N` and `skip`, `skipbn`, then `conv3`, `bn3`, `conv4`, `bn4`, `fc`.
  static func xception(_ widths: XceptionWidths) -> NetworkGraph {
    var net = NetworkBuilder()
    /// A depthwise 3×3, a pointwise convolution and a batch norm.
    func separable(_ name: String, norm: String, _ x: NetworkBuilder.Value, _ outputs: Int)
      -> NetworkBuilder.Value
    {
      let y = net.depthwise("\(name).conv1", x, Window(3, padding: .zeros(1)))
      return net.batchNorm(norm, net.convolution("\(name).pointwise", y, outputs, Window(1)))
    }
    /// Units beside a shortcut, which is a convolution and a norm where the block ends in pooling.
    func block(
      _ name: String, _ x: NetworkBuilder.Value, _ outputs: [Int], pools: Bool,
      startsWithReLU: Bool = true
    ) -> NetworkBuilder.Value {
      var shortcut = x
      if pools {
        shortcut = net.convolution("\(name).skip", x, outputs.last!, Window(1, stride: 2))
        shortcut = net.batchNorm("\(name).skipbn", shortcut)
      }
      var y = x
      for (unit, width) in outputs.enumerated() {
        // `rep` lists ReLU, convolution, norm in turn; without the first ReLU all move up by one.
        let place = 3 * unit + (startsWithReLU ? 1 : 0)
        if place > 0 { y = net.relu(y) }
        y = separable("\(name).rep.\(place)", norm: "\(name).rep.\(place + 1)", y, width)
      }
      if pools { y = net.maximumPool(y, Window(3, stride: 2, padding: .zeros(1))) }
      let sum = net.sum(y, shortcut)
      net.stage(name, sum)
      return sum
    }

    var x = net.convolution("conv1", net.image, widths.stem.0, Window(3, stride: 2))
    x = net.relu(net.batchNorm("bn1", x))
    x = net.convolution("conv2", x, widths.stem.1, Window(3))
    x = net.relu(net.batchNorm("bn2", x))
    for (number, width) in widths.entry.enumerated() {
      // The first block's input is rectified already.
      x = block(
        "block\(number + 1)", x, [width, width], pools: true, startsWithReLU: number > 0)
    }
    for number in 0..<widths.middleBlocks {
      let name = "block\(widths.entry.count + 1 + number)"
      x = block(name, x, Array(repeating: x.channels, count: 3), pools: false)
    }
    x = block(
      "block\(widths.entry.count + widths.middleBlocks + 1)", x, [x.channels, widths.exitBlock],
      pools: true)
    x = net.relu(separable("conv3", norm: "bn3", x, widths.exit.0))
    x = net.relu(separable("conv4", norm: "bn4", x, widths.exit.1))
    return net.graph(head: "fc", of: net.globalAverage(x))
  }
}

struct XceptionWidths {
  let stem: (Int, Int)
  let entry: [Int]
  let middleBlocks: Int
  let exitBlock: Int
  let exit: (Int, Int)
}

/// Xception's layers with the names of the published PyTorch weights (timm's `legacy_xception`):
/// `conv1`, `bn1`, `conv2`, `bn2`, `block1` … `block12` with `rep.N` and `skip`, `skipbn`, then
/// `conv3`, `bn3`, `conv4`, `bn4`, `fc`.
struct XceptionLayers: Sendable {
  private(set) var conv1: DenseConvolution
  private(set) var conv2: DenseConvolution
  private(set) var blocks: [Block]
  private(set) var conv3: SeparableUnit
  private(set) var conv4: SeparableUnit
  private(set) var classifier: Classifier
  /// In arena order: the order in which backward finishes their gradients.
  private(set) var parameters: [Parameter]
  private(set) var norms: [BatchNorm]
  /// Elements of the running statistics.
  private(set) var runningCount: Int

  init(_ name: DetectorName) {
    let widths = name.widths
    var declared = Declarations()

    conv1 = declared.dense("conv1", norm: "bn1", 3, widths.stem.0, stride: 2)
    conv2 = declared.dense("conv2", norm: "bn2", widths.stem.0, widths.stem.1, stride: 1)
    blocks = []
    var width = widths.stem.1
    for (i, output) in widths.entry.enumerated() {
      // Block 1's input is rectified already, by the ReLU behind bn2.
      blocks.append(
        declared.block(
          "block\(i + 1)", inputs: width, outputs: output, units: 2, pools: true, growsFirst: true,
          startsWithReLU: i > 0))
      width = output
    }
    for i in 0..<widths.middleBlocks {
      blocks.append(
        declared.block(
          "block\(widths.entry.count + 1 + i)", inputs: width, outputs: width, units: 3,
          pools: false, growsFirst: true, startsWithReLU: true))
    }
    blocks.append(
      declared.block(
        "block\(widths.entry.count + widths.middleBlocks + 1)", inputs: width,
        outputs: widths.exitBlock, units: 2, pools: true, growsFirst: false, startsWithReLU: true))
    conv3 = declared.separable("conv3", norm: "bn3", widths.exitBlock, widths.exit.0, relu: false)
    conv4 = declared.separable("conv4", norm: "bn4", widths.exit.0, widths.exit.1, relu: true)
    classifier = declared.classifier("fc", features: widths.exit.1)

    norms = declared.norms
    runningCount = declared.runningCount
    parameters = Parameter.placed(declared.parameters)
  }

  /// Collects parameters and batch norms in forward order.
  private struct Declarations {
    var parameters: [Parameter] = []
    var norms: [BatchNorm] = []
    var runningCount = 0

    mutating func parameter(
      _ name: String, _ shape: [Int], _ layout: Parameter.Layout,
      _ initial: Parameter.Initial = .normal
    ) -> Int {
      parameters.append(
        Parameter(name: name, shape: shape, layout: layout, offset: 0, initial: initial))
      return parameters.count - 1
    }

    mutating func norm(_ name: String, _ channels: Int) -> BatchNorm {
      let norm = BatchNorm(
        name: name, channels: channels,
        weight: parameter("\(name).weight", [channels], .vector, .constant(1)),
        bias: parameter("\(name).bias", [channels], .vector, .constant(0)),
        runningOffset: runningCount, index: norms.count, epsilon: 1e-5, momentum: 0.1)
      runningCount += 2 * paddedChannels(channels)
      norms.append(norm)
      return norm
    }

    mutating func dense(
      _ name: String, norm normName: String, _ inputs: Int, _ outputs: Int, stride: Int
    ) -> DenseConvolution {
      let weight = parameter("\(name).weight", [outputs, inputs, 3, 3], .dense)
      return DenseConvolution(
        inputs: inputs, outputs: outputs, stride: stride, weight: weight,
        norm: norm(normName, outputs))
    }

    mutating func separable(
      _ name: String, norm normName: String, _ inputs: Int, _ outputs: Int, relu: Bool
    ) -> SeparableUnit {
      let depthwise = parameter("\(name).conv1.weight", [inputs, 1, 3, 3], .depthwise)
      let pointwise = parameter("\(name).pointwise.weight", [outputs, inputs, 1, 1], .matrix)
      return SeparableUnit(
        inputs: inputs, outputs: outputs, depthwise: depthwise, pointwise: pointwise,
        norm: norm(normName, outputs), rectifiesInput: relu)
    }

    mutating func block(
      _ name: String, inputs: Int, outputs: Int, units count: Int, pools: Bool, growsFirst: Bool,
      startsWithReLU: Bool
    ) -> Block {
      var shortcut: Shortcut?
      if pools {
        let weight = parameter("\(name).skip.weight", [outputs, inputs, 1, 1], .matrix)
        shortcut = Shortcut(
          inputs: inputs, outputs: outputs, weight: weight, norm: norm("\(name).skipbn", outputs))
      }
      var units: [SeparableUnit] = []
      for i in 0..<count {
        let from = i == 0 || !growsFirst ? inputs : outputs
        let to = growsFirst || i == count - 1 ? outputs : inputs
        // `rep` lists ReLU, convolution, norm in turn; without the first ReLU all move up by one.
        let place = 3 * i + (startsWithReLU ? 1 : 0)
        units.append(
          separable(
            "\(name).rep.\(place)", norm: "\(name).rep.\(place + 1)", from, to,
            relu: i > 0 || startsWithReLU))
      }
      return Block(name: name, units: units, shortcut: shortcut)
    }

    mutating func classifier(_ name: String, features: Int) -> Classifier {
      Classifier(
        features: features, weight: parameter("\(name).weight", [2, features], .matrix, .uniform),
        bias: parameter("\(name).bias", [2], .vector, .constant(0)))
    }
  }
}
