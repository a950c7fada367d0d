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
