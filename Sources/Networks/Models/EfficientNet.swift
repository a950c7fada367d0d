/// The sizes of EfficientNets (Tan and Le 2019): B0 with more channels, more blocks and more pixels.
struct EfficientNetSize: Sendable {
  let width: Double
  let depth: Double
  /// Pixels of the images that it was made for.
  let pixels: Int

  static let b0 = EfficientNetSize(width: 1, depth: 1, pixels: 224)
  static let b4 = EfficientNetSize(width: 1.4, depth: 1.8, pixels: 380)

  /// Channels are multiples of 8, and no less than nine tenths of what is asked for.
  func channels(_ count: Int) -> Int {
    let wanted = Double(count) * width
    let rounded = max(8, Int(wanted + 4) / 8 * 8)
    return Double(rounded) < 0.9 * wanted ? rounded + 8 : rounded
  }

  struct Stage {
    let blocks: Int
    let window: Int
    let stride: Int
    let expansion: Int
    let channels: Int
  }

  var stages: [Stage] {
    [
      (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
      (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
    ].map {
      Stage(
        blocks: Int((Double($0.0) * depth).rounded(.up)), window: $0.1, stride: $0.2,
        expansion: $0.3, channels: channels($0.4))
    }
  }
}

/// Whose EfficientNet it is: they have the same layers and compute other things.
enum EfficientNetForm: Sendable {
  /// timm's `efficientnet_*`: as many zeros on every side.
  case timm
  /// timm's `tf_efficientnet_*`: TensorFlow's padding, ε 1e-3.
  case tensorflow
  /// The package efficientnet_pytorch: TensorFlow's padding for images of the size that the network was
  /// made for, whatever the size is; ε 1e-3, momentum 0.01.
  case package
  /// DeepfakeBench's: the package's with a first convolution of its own, which has no padding.
  case deepfakeBench
}

extension NetworkGraph {
  static func efficientnet(_ size: EfficientNetSize, _ form: EfficientNetForm) -> NetworkGraph {
    var net = NetworkBuilder()
    if form != .timm { net.normEpsilon = 1e-3 }
    if form == .package || form == .deepfakeBench { net.normMomentum = 0.01 }
    // Pixels that a map has where the image has those it was made for.
    var pixels = size.pixels
    func window(_ taps: Int, stride: Int) -> Window {
      defer { pixels = (pixels + stride - 1) / stride }
      switch form {
      case .timm: return Window(taps, stride: stride, padding: .zeros(taps / 2))
      case .tensorflow: return Window(taps, stride: stride, padding: .same)
      case .package, .deepfakeBench:
        return Window(taps, stride: stride, padding: .sameOf(pixels))
      }
    }
    let first = window(3, stride: 2)
    var x = net.convolution(
      "conv_stem", net.image, size.channels(32),
      form == .deepfakeBench ? Window(3, stride: 2) : first)
    x = net.activation(.silu, net.batchNorm("bn1", x))
    let count = Double(size.stages.reduce(0) { $0 + $1.blocks })
    var number = 0.0
    for (s, stage) in size.stages.enumerated() {
      for block in 0..<stage.blocks {
        x = net.invertedResidual(
          "blocks.\(s).\(block)", x, stage.channels,
          window(stage.window, stride: block == 0 ? stage.stride : 1),
          expansion: stage.expansion, activation: .silu, squeezes: true, share: number / count)
        number += 1
      }
      net.stage("blocks.\(s)", x)
    }
    x = net.convolution("conv_head", x, size.channels(1280), Window(1))
    x = net.activation(.silu, net.batchNorm("bn2", x))
    return net.graph(head: "classifier", of: net.globalAverage(x))
  }
}

extension NetworkBuilder {
  /// A block of EfficientNet and MobileNetV2 with timm's names: a 1×1 convolution to `expansion` times
  /// the channels (none where that is 1), a depthwise one, squeeze-and-excite if asked for, a 1×1
  /// convolution to the outputs, and the input once more where it has their shape.
  ///
  /// - Parameter share: see ``residual(_:_:share:)``; timm's is the block's place over their number.
  mutating func invertedResidual(
    _ name: String, _ x: Value, _ outputs: Int, _ window: Window, expansion: Int,
    activation: Activation, squeezes: Bool, share: Double
  ) -> Value {
    // The norms are numbered in their order; the last 1×1 convolution is `conv_pw` where it is the
    // only one.
    let expands = expansion > 1
    var y = x
    if expands {
      y = convolution("\(name).conv_pw", y, expansion * x.channels, Window(1))
      y = self.activation(activation, batchNorm("\(name).bn1", y))
    }
    y = depthwise("\(name).conv_dw", y, window)
    y = self.activation(activation, batchNorm("\(name).\(expands ? "bn2" : "bn1")", y))
    if squeezes {
      var gate = linear(
        "\(name).se.conv_reduce", globalAverage(y), x.channels / 4, isConvolution: true)
      gate = self.activation(activation, gate)
      gate = linear("\(name).se.conv_expand", gate, y.channels, isConvolution: true)
      y = gated(y, by: self.activation(.sigmoid, gate))
    }
    y = convolution("\(name).\(expands ? "conv_pwl" : "conv_pw")", y, outputs, Window(1))
    y = batchNorm("\(name).\(expands ? "bn3" : "bn2")", y)
    return window.stride == 1 && x.channels == outputs ? residual(y, x, share: share) : y
  }
}

extension PublishedNames {
  /// timm has the names here.
  static let efficientnet = PublishedNames(
    head: "classifier", otherHeads: ["fc", "last_linear", "head.fc", "head"], extras: [])

  /// The package's head is `_fc`.
  static func efficientnetPackage(_ size: EfficientNetSize) -> PublishedNames {
    PublishedNames(
      head: "classifier", otherHeads: ["_fc"], extras: [], tables: [packageNames(size)])
  }

  /// The head is beside the network. No other file has one of that name, so that these weights are not
  /// taken for the package's.
  static func deepfakeBenchEfficientnet(_ size: EfficientNetSize) -> PublishedNames {
    PublishedNames(
      head: "classifier", otherHeads: ["last_layer"], extras: ["adjust_channel."],
      tables: [packageNames(size)])
  }

  /// efficientnet_pytorch numbers all blocks, and norms by what they follow.
  private static func packageNames(_ size: EfficientNetSize) -> [String: String] {
    var names = [
      "conv_stem.": "_conv_stem.", "bn1.": "_bn0.", "conv_head.": "_conv_head.", "bn2.": "_bn1.",
    ]
    var number = 0
    for (s, stage) in size.stages.enumerated() {
      for block in 0..<stage.blocks {
        let parts =
          stage.expansion > 1
          ? [
            "conv_pw": "_expand_conv", "bn1": "_bn0", "bn2": "_bn1", "conv_pwl": "_project_conv",
            "bn3": "_bn2",
          ] : ["bn1": "_bn1", "conv_pw": "_project_conv", "bn2": "_bn2"]
        let all = parts.merging([
          "conv_dw": "_depthwise_conv", "se.conv_reduce": "_se_reduce",
          "se.conv_expand": "_se_expand",
        ]) { own, _ in own }
        for (own, other) in all {
          names["blocks.\(s).\(block).\(own)."] = "_blocks.\(number).\(other)."
        }
        number += 1
      }
    }
    return names
  }
}
