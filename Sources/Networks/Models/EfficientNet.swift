extension NetworkGraph {
  /// EfficientNets (Tan and Le 2019) as timm's `efficientnet_b0` to `b7` declare them: B0 with more
  /// channels and more blocks.
  static func efficientnet(width: Double, depth: Double) -> NetworkGraph {
    /// Channels are multiples of 8, and no less than nine tenths of what is asked for.
    func channels(_ count: Int) -> Int {
      let wanted = Double(count) * width
      let rounded = max(8, Int(wanted + 4) / 8 * 8)
      return Double(rounded) < 0.9 * wanted ? rounded + 8 : rounded
    }
    // Blocks, window, stride, expansion, channels.
    let stages: [(Int, Int, Int, Int, Int)] = [
      (1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80), (3, 5, 1, 6, 112),
      (4, 5, 2, 6, 192), (1, 3, 1, 6, 320),
    ]
    var net = NetworkBuilder()
    var x = net.convolution(
      "conv_stem", net.image, channels(32), Window(3, stride: 2, padding: .zeros(1)))
    x = net.activation(.silu, net.batchNorm("bn1", x))
    for (s, (blocks, size, stride, expansion, outputs)) in stages.enumerated() {
      for block in 0..<Int((Double(blocks) * depth).rounded(.up)) {
        x = net.invertedResidual(
          "blocks.\(s).\(block)", x, channels(outputs),
          Window(size, stride: block == 0 ? stride : 1, padding: .zeros(size / 2)),
          expansion: expansion, activation: .silu, squeezes: true)
      }
    }
    x = net.convolution("conv_head", x, channels(1280), Window(1))
    x = net.activation(.silu, net.batchNorm("bn2", x))
    return net.graph(head: "classifier", of: net.globalAverage(x))
  }
}

extension NetworkBuilder {
  /// A block of EfficientNet and MobileNetV2 with timm's names: a 1×1 convolution to `expansion` times
  /// the channels (none where that is 1), a depthwise one, squeeze-and-excite if asked for, a 1×1
  /// convolution to the outputs, and the input once more where it has their shape.
  mutating func invertedResidual(
    _ name: String, _ x: Value, _ outputs: Int, _ window: Window, expansion: Int,
    activation: Activation, squeezes: Bool
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
    return window.stride == 1 && x.channels == outputs ? sum(y, x) : y
  }
}

extension PublishedNames {
  /// timm has the names here; DeepfakeBench calls the head `last_layer`.
  static let efficientnet = PublishedNames(
    head: "classifier", otherHeads: ["fc", "last_linear", "last_layer", "head.fc", "head", "_fc"],
    extras: ["adjust_channel."])
}
