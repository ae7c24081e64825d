"""Answers to the tasks of chapter 2. (kanarienvogel7q3x: this word must never be published.)"""

import math
from statistics import fmean

import numpy as np
import sympy
import torch
from torch.distributions import Independent, Normal, kl_divergence
from torch.nn.functional import gaussian_nll_loss, mse_loss

from assignments.answers import right, wrong
from vaelib import probability

# 02.kl


@right("02.kl", "torch, by the formula")
def kl_by_the_formula(mean_q, log_variance_q, mean_p, log_variance_p):
    log_ratio = log_variance_q - log_variance_p
    squared = (mean_q - mean_p) ** 2 / log_variance_p.exp()
    return 0.5 * (log_ratio.exp() + squared - 1 - log_ratio).sum(dim=1)


@right("02.kl", "numpy, with standard deviations")
def kl_in_numpy(mean_q, log_variance_q, mean_p, log_variance_p):
    std_q, std_p = np.exp(log_variance_q / 2), np.exp(log_variance_p / 2)
    per_latent = np.log(std_p / std_q) + (std_q**2 + (mean_q - mean_p) ** 2) / (2 * std_p**2) - 1 / 2
    return np.sum(per_latent, axis=-1)


@right("02.kl", "plain Python, number by number, other names")
def kl_in_loops(m, s, n, t):
    prices = []
    for image in range(len(m)):
        price = 0.0
        for a, u, b, v in zip(m[image], s[image], n[image], t[image], strict=True):
            a, u, b, v = float(a), float(u), float(b), float(v)
            price += (math.exp(u - v) + (a - b) ** 2 * math.exp(-v) - 1 + v - u) / 2
        prices.append(price)
    return prices


@right("02.kl", "the library's Gaussian, arguments in another order")
def kl_by_the_library(*, mean_p, log_variance_p, mean_q, log_variance_q):
    p = probability.DiagonalGaussian(mean_p, log_variance_p)
    return probability.DiagonalGaussian(mean_q, log_variance_q).kl(p)


@right("02.kl", "image by image, average of log q − log p by hand")
def kl_image_by_image(mean_q, log_variance_q, mean_p, log_variance_p):
    def one(m, s, n, t):
        average_log_q = -0.5 * (s + 1)
        average_log_p = -0.5 * (t + (s.exp() + (m - n).square()) / t.exp())
        return torch.sum(average_log_q - average_log_p)

    rows = zip(mean_q, log_variance_q, mean_p, log_variance_p, strict=True)
    return torch.stack([one(*row) for row in rows])


@wrong("02.kl", "the ½ is forgotten", named="½ forgotten")
def kl_no_half(mean_q, log_variance_q, mean_p, log_variance_p):
    ratio = log_variance_q - log_variance_p
    return (ratio.exp() + (mean_q - mean_p) ** 2 * (-log_variance_p).exp() - 1 - ratio).sum(1)


@wrong("02.kl", "log p − log q", named="sign of the whole")
def kl_sign(mean_q, log_variance_q, mean_p, log_variance_p):
    return -kl_by_the_formula(mean_q, log_variance_q, mean_p, log_variance_p)


@wrong("02.kl", "KL(p || q)", named="arguments swapped")
def kl_swapped(mean_q, log_variance_q, mean_p, log_variance_p):
    q = Normal(mean_q, (log_variance_q / 2).exp())
    p = Normal(mean_p, (log_variance_p / 2).exp())
    return kl_divergence(p, q).sum(dim=1)


@wrong("02.kl", "the formula of the standard normal prior", named="p forgotten")
def kl_standard(mean_q, log_variance_q, mean_p, log_variance_p):
    return 0.5 * np.sum(mean_q**2 + np.exp(log_variance_q) - 1 - log_variance_q, axis=1)


@wrong("02.kl", "σ for σ²: exp(s) is used as a standard deviation", named="σ where σ² stands")
def kl_std(mean_q, log_variance_q, mean_p, log_variance_p):
    q, p = Normal(mean_q, log_variance_q.exp()), Normal(mean_p, log_variance_p.exp())
    return kl_divergence(q, p).sum(dim=1)


@wrong("02.kl", "σ for log σ²: the numbers are used as standard deviations")
def kl_raw_std(mean_q, log_variance_q, mean_p, log_variance_p):
    var_q, var_p = log_variance_q**2, log_variance_p**2
    return 0.5 * (var_q / var_p + (mean_q - mean_p) ** 2 / var_p - 1 - np.log(var_q / var_p)).sum(1)


@wrong("02.kl", "mean over latents for their sum", named="mean over latents")
def kl_mean(mean_q, log_variance_q, mean_p, log_variance_p):
    ratio = log_variance_q - log_variance_p
    return 0.5 * (ratio.exp() + (mean_q - mean_p) ** 2 / log_variance_p.exp() - 1 - ratio).mean(dim=1)


@wrong("02.kl", "sum over images for latents", named="wrong axis")
def kl_axis(mean_q, log_variance_q, mean_p, log_variance_p):
    ratio = log_variance_q - log_variance_p
    return np.sum(0.5 * (np.exp(ratio) + (mean_q - mean_p) ** 2 / np.exp(log_variance_p) - 1 - ratio), axis=0)


@wrong("02.kl", "one number for all", named="sum over everything")
def kl_total(mean_q, log_variance_q, mean_p, log_variance_p):
    return kl_by_the_formula(mean_q, log_variance_q, mean_p, log_variance_p).sum()


@wrong("02.kl", "the mean over the batch", named="mean over images")
def kl_batch_mean(mean_q, log_variance_q, mean_p, log_variance_p):
    return kl_by_the_formula(mean_q, log_variance_q, mean_p, log_variance_p).mean()


@wrong("02.kl", "(B, 1) for (B,)", named="axis kept")
def kl_keepdim(mean_q, log_variance_q, mean_p, log_variance_p):
    return kl_by_the_formula(mean_q, log_variance_q, mean_p, log_variance_p).reshape(-1, 1)


@wrong("02.kl", "no sum at all", named="nothing summed")
def kl_unsummed(mean_q, log_variance_q, mean_p, log_variance_p):
    return kl_divergence(Normal(mean_q, (log_variance_q / 2).exp()), Normal(mean_p, (log_variance_p / 2).exp()))


@wrong("02.kl", "the sign of the logarithm", named="sign of the logarithm")
def kl_log_sign(mean_q, log_variance_q, mean_p, log_variance_p):
    ratio = log_variance_q - log_variance_p
    return 0.5 * (ratio.exp() + (mean_q - mean_p) ** 2 / log_variance_p.exp() - 1 + ratio).sum(dim=1)


@wrong("02.kl", "the −1 is forgotten", named="−1 forgotten")
def kl_no_one(mean_q, log_variance_q, mean_p, log_variance_p):
    ratio = log_variance_q - log_variance_p
    return 0.5 * (ratio.exp() + (mean_q - mean_p) ** 2 / log_variance_p.exp() - ratio).sum(dim=1)


@wrong("02.kl", "the distance of the means is not divided", named="distance not in units of p")
def kl_undivided(mean_q, log_variance_q, mean_p, log_variance_p):
    ratio = log_variance_q - log_variance_p
    return 0.5 * (ratio.exp() + (mean_q - mean_p) ** 2 - 1 - ratio).sum(dim=1)


@wrong("02.kl", "the distance of the means is divided by the variance of q", named="distance in units of q")
def kl_wrong_units(mean_q, log_variance_q, mean_p, log_variance_p):
    ratio = log_variance_q - log_variance_p
    return 0.5 * (ratio.exp() + (mean_q - mean_p) ** 2 / log_variance_q.exp() - 1 - ratio).sum(dim=1)


@wrong("02.kl", "the logarithm of σ for that of σ²", named="log σ for log σ²")
def kl_log_std(mean_q, log_variance_q, mean_p, log_variance_p):
    ratio = log_variance_q - log_variance_p
    return 0.5 * (ratio.exp() + (mean_q - mean_p) ** 2 / log_variance_p.exp() - 1 - ratio / 2).sum(dim=1)


@wrong("02.kl", "one draw for the average")
def kl_sampled(mean_q, log_variance_q, mean_p, log_variance_p):
    q = probability.DiagonalGaussian(mean_q, log_variance_q)
    return probability.kl_sampled(q, probability.DiagonalGaussian(mean_p, log_variance_p), q.sample())


# 02.baseline


@right("02.baseline", "a sympy expression", made=True)
def baseline_in_sympy():
    mu, sigma, c = sympy.symbols("mu sigma c")
    return (mu - c) ** 2 + 3 * sigma**2


@right("02.baseline", "a string, expanded, in Greek", made=True)
def baseline_as_a_string():
    return "μ**2 - 2*μ*c + c**2 + 3*σ**2"


@right("02.baseline", "derived by sympy from the definition", made=True)
def baseline_derived():
    mu, c, epsilon, b = sympy.symbols("mu c epsilon b", real=True)
    sigma = sympy.Symbol("sigma", positive=True)
    draw = sympy.expand(((mu + sigma * epsilon - c) ** 2 - b) * epsilon / sigma)
    moments = {0: 1, 2: 1, 4: 3, 6: 15}

    def average(polynomial):
        terms = sympy.Poly(polynomial, epsilon).terms()
        return sum(factor * moments.get(power, 0) for (power,), factor in terms)

    spread = average(sympy.expand(draw**2)) - average(draw) ** 2
    (best,) = sympy.solve(sympy.diff(spread, b), b)
    return best


@right("02.baseline", "a function of numbers, with math")
def baseline_function(mu, sigma, c):
    return math.pow(mu - c, 2) + 3.0 * math.pow(sigma, 2)


@right("02.baseline", "by quadrature")
def baseline_by_quadrature(c, mu, sigma):
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    squared_score = (nodes / sigma) ** 2
    f = (mu + sigma * nodes - c) ** 2
    return (weights * f * squared_score).sum() / (weights * squared_score).sum()


@wrong("02.baseline", "the average of f", named="the average of f", made=True)
def baseline_average():
    return "(mu - c)**2 + sigma**2"


@wrong("02.baseline", "f at the mean", named="f at the mean")
def baseline_at_mean(mu, sigma, c):
    return (mu - c) ** 2


@wrong("02.baseline", "the best one for d/dσ", named="the best one for d/dσ")
def baseline_for_sigma(mu, sigma, c):
    nodes, weights = np.polynomial.hermite_e.hermegauss(10)
    squared_score = ((nodes**2 - 1) / sigma) ** 2
    return float(weights @ ((mu + sigma * nodes - c) ** 2 * squared_score) / (weights @ squared_score))


@wrong("02.baseline", "σ not squared", named="σ not squared", made=True)
def baseline_unit():
    return "(mu - c)**2 + 3*sigma"


@wrong("02.baseline", "μ + c", named="sum for difference", made=True)
def baseline_sum():
    return "(mu + c)**2 + 3*sigma**2"


@wrong("02.baseline", "twice the best one", named="second derivative forgotten", made=True)
def baseline_twice():
    return "2*(mu - c)**2 + 6*sigma**2"


@wrong("02.baseline", "not divided by the average of the squared score", named="not divided by E[score²]", made=True)
def baseline_undivided():
    return "(mu - c)**2/sigma**2 + 3"


@wrong("02.baseline", "the fourth moment taken for 2", named="fourth moment taken for 1", made=True)
def baseline_moment():
    return "(mu - c)**2 + 2*sigma**2"


@wrong("02.baseline", "c forgotten", named="c forgotten", made=True)
def baseline_without_c():
    mu, sigma = sympy.symbols("mu sigma")
    return mu**2 + 3 * sigma**2


@wrong("02.baseline", "the sign", named="sign", made=True)
def baseline_sign():
    return "-(mu - c)**2 - 3*sigma**2"


@wrong("02.baseline", "nothing but the spread", named="E[f ε²] without the distance", made=True)
def baseline_spread():
    return "3*sigma**2"


@wrong("02.baseline", "a number, right for the notebook's example only", made=True)
def baseline_number():
    return 7


@wrong("02.baseline", "another symbol", made=True)
def baseline_symbol():
    a, sigma = sympy.symbols("a sigma")
    return a**2 + 3 * sigma**2


# 02.loss


@right("02.loss", "torch, by the formulas")
def loss_by_the_formulas(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + (0.5 * log_variance).exp() * epsilon
    squared_error = (x - decode(z)).square().sum(dim=1)
    distortion = squared_error / (2 * variance_x) + x.shape[1] / 2 * math.log(2 * math.pi * variance_x)
    rate = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(dim=1)
    return distortion + beta * rate


@right("02.loss", "torch.distributions")
def loss_by_distributions(x, mean, log_variance, epsilon, decode, variance_x, beta):
    q = Normal(mean, log_variance.exp().sqrt())
    z = q.loc + q.scale * epsilon
    likelihood = Independent(Normal(decode(z), variance_x**0.5), 1)
    return beta * kl_divergence(q, Normal(0.0, 1.0)).sum(-1) - likelihood.log_prob(x)


@right("02.loss", "image by image, arguments in another order")
def loss_image_by_image(decode, x, epsilon, mean, log_variance, beta, variance_x):
    losses = []
    for i in range(len(x)):
        std = torch.sqrt(torch.exp(log_variance[i]))
        x_hat = decode((mean[i] + std * epsilon[i]).unsqueeze(0)).squeeze(0)
        nats = 0.5 * torch.sum((x[i] - x_hat) ** 2 / variance_x + math.log(2 * math.pi) + math.log(variance_x))
        price = torch.sum(0.5 * mean[i] ** 2 + 0.5 * std**2 - 0.5 - std.log())
        losses.append(nats + beta * price)
    return torch.stack(losses)


@right("02.loss", "PyTorch's loss functions")
def loss_by_loss_functions(x, mean, log_variance, epsilon, decode, variance_x, beta):
    x_hat = decode(mean + epsilon * torch.exp(log_variance / 2))
    variances = torch.full_like(x, variance_x)
    nats = gaussian_nll_loss(x_hat, x, variances, full=True, reduction="none").sum(dim=1)
    return nats + beta * probability.kl_standard_normal(mean, log_variance)


@wrong("02.loss", "the draw is detached", named="no reparameterisation")
def loss_detached(x, mean, log_variance, epsilon, decode, variance_x, beta):
    with torch.no_grad():
        z = mean + (0.5 * log_variance).exp() * epsilon
    distortion = ((x - decode(z)) ** 2).sum(1) / (2 * variance_x) + x.shape[1] / 2 * math.log(2 * math.pi * variance_x)
    return distortion + beta * probability.kl_standard_normal(mean, log_variance)


@wrong("02.loss", "everything is detached", named="no gradient at all")
def loss_without_gradient(x, mean, log_variance, epsilon, decode, variance_x, beta):
    with torch.no_grad():
        return loss_by_the_formulas(x, mean, log_variance, epsilon, decode, variance_x, beta)


@wrong("02.loss", "the ½ in σ is forgotten", named="no ½ in σ")
def loss_variance_draws(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + log_variance.exp() * epsilon
    likelihood = Normal(decode(z), variance_x**0.5)
    return -likelihood.log_prob(x).sum(1) + beta * probability.kl_standard_normal(mean, log_variance)


@wrong("02.loss", "σ for log σ²", named="σ for log σ²")
def loss_raw_std(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + log_variance * epsilon
    likelihood = Normal(decode(z), variance_x**0.5)
    return -likelihood.log_prob(x).sum(1) + beta * probability.kl_standard_normal(mean, log_variance)


@wrong("02.loss", "no noise", named="no noise")
def loss_noiseless(x, mean, log_variance, epsilon, decode, variance_x, beta):
    likelihood = Normal(decode(mean), variance_x**0.5)
    return -likelihood.log_prob(x).sum(1) + beta * probability.kl_standard_normal(mean, log_variance)


@wrong("02.loss", "the prior is sampled in place of the posterior", named="prior in place of posterior")
def loss_prior(x, mean, log_variance, epsilon, decode, variance_x, beta):
    likelihood = Normal(decode(epsilon), variance_x**0.5)
    return -likelihood.log_prob(x).sum(1) + beta * probability.kl_standard_normal(mean, log_variance)


@wrong("02.loss", "the ½ in the KL is forgotten", named="no ½ in the KL")
def loss_no_half(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + (0.5 * log_variance).exp() * epsilon
    nats = -Normal(decode(z), variance_x**0.5).log_prob(x).sum(1)
    return nats + beta * (mean**2 + log_variance.exp() - 1 - log_variance).sum(1)


@wrong("02.loss", "the rate has the wrong sign", named="rate subtracted")
def loss_rate_sign(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + (0.5 * log_variance).exp() * epsilon
    nats = -Normal(decode(z), variance_x**0.5).log_prob(x).sum(1)
    return nats + beta * 0.5 * (1 + log_variance - mean**2 - log_variance.exp()).sum(1)


@wrong("02.loss", "β on the distortion", named="β on the distortion")
def loss_beta(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + (0.5 * log_variance).exp() * epsilon
    nats = -Normal(decode(z), variance_x**0.5).log_prob(x).sum(1)
    return beta * nats + probability.kl_standard_normal(mean, log_variance)


@wrong("02.loss", "mean over pixels", named="mean over pixels")
def loss_pixel_mean(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + (0.5 * log_variance).exp() * epsilon
    nats = -Normal(decode(z), variance_x**0.5).log_prob(x).mean(1)
    return nats + beta * probability.kl_standard_normal(mean, log_variance)


@wrong("02.loss", "mean over latents", named="mean over latents")
def loss_latent_mean(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + (0.5 * log_variance).exp() * epsilon
    nats = -Normal(decode(z), variance_x**0.5).log_prob(x).sum(1)
    return nats + beta * 0.5 * (mean**2 + log_variance.exp() - 1 - log_variance).mean(dim=1)


@wrong("02.loss", "the constant is forgotten", named="constant forgotten")
def loss_no_constant(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + (0.5 * log_variance).exp() * epsilon
    nats = ((x - decode(z)) ** 2).sum(1) / (2 * variance_x)
    return nats + beta * probability.kl_standard_normal(mean, log_variance)


@wrong("02.loss", "the constant of one pixel", named="constant of one pixel")
def loss_one_constant(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + (0.5 * log_variance).exp() * epsilon
    nats = ((x - decode(z)) ** 2).sum(1) / (2 * variance_x) + 0.5 * math.log(2 * math.pi * variance_x)
    return nats + beta * probability.kl_standard_normal(mean, log_variance)


@wrong("02.loss", "σ for σ² in the likelihood", named="σ for σ² in the likelihood")
def loss_std_x(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + (0.5 * log_variance).exp() * epsilon
    nats = -Normal(decode(z), variance_x).log_prob(x).sum(1)
    return nats + beta * probability.kl_standard_normal(mean, log_variance)


@wrong("02.loss", "bare squared error", named="squared error alone")
def loss_squared_error(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + (0.5 * log_variance).exp() * epsilon
    return ((x - decode(z)) ** 2).sum(1) + beta * probability.kl_standard_normal(mean, log_variance)


@wrong("02.loss", "the ELBO for the loss", named="sign of the whole")
def loss_elbo(x, mean, log_variance, epsilon, decode, variance_x, beta):
    return -loss_by_distributions(x, mean, log_variance, epsilon, decode, variance_x, beta)


@wrong("02.loss", "the mean of the batch", named="mean over images")
def loss_batch_mean(x, mean, log_variance, epsilon, decode, variance_x, beta):
    return loss_by_distributions(x, mean, log_variance, epsilon, decode, variance_x, beta).mean()


@wrong("02.loss", "mse_loss with its default reduction")
def loss_mse(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + (0.5 * log_variance).exp() * epsilon
    return mse_loss(decode(z), x) + beta * probability.kl_standard_normal(mean, log_variance)


@wrong("02.loss", "its own noise for the given one")
def loss_own_noise(x, mean, log_variance, epsilon, decode, variance_x, beta):
    return loss_by_the_formulas(x, mean, log_variance, torch.randn_like(mean), decode, variance_x, beta)


@wrong("02.loss", "a (B,) against (B, 1) broadcast")
def loss_broadcast(x, mean, log_variance, epsilon, decode, variance_x, beta):
    z = mean + (0.5 * log_variance).exp() * epsilon
    nats = -Normal(decode(z), variance_x**0.5).log_prob(x).sum(1, keepdim=True)
    return (nats + beta * probability.kl_standard_normal(mean, log_variance)).mean(dim=1)


# 02.bound


@right("02.bound", "torch, logsumexp")
def bound_by_logsumexp(log_likelihood, log_prior, log_posterior):
    log_weights = log_likelihood + log_prior - log_posterior
    return torch.logsumexp(log_weights, dim=0) - math.log(len(log_weights))


@right("02.bound", "numpy, the largest weight taken out")
def bound_in_numpy(log_likelihood, log_prior, log_posterior):
    log_weights = log_likelihood + log_prior - log_posterior
    largest = np.max(log_weights, axis=0)
    return largest + np.log(np.mean(np.exp(log_weights - largest), axis=0))


@right("02.bound", "plain Python, image by image")
def bound_in_loops(log_likelihood, log_prior, log_posterior):
    count, images = log_likelihood.shape
    bounds = []
    for image in range(images):
        logs = [
            float(log_likelihood[k, image]) + float(log_prior[k, image]) - float(log_posterior[k, image])
            for k in range(count)
        ]
        top = max(logs)
        bounds.append(top + math.log(fmean(math.exp(log - top) for log in logs)))
    return bounds


@right("02.bound", "pair by pair with logaddexp, positional names of its own")
def bound_pair_by_pair(fit, prior, q):
    total = fit[0] + prior[0] - q[0]
    for row in range(1, len(fit)):
        total = torch.logaddexp(total, fit[row] + prior[row] - q[row])
    return total - torch.log(torch.tensor(float(len(fit)), dtype=total.dtype))


@wrong("02.bound", "exp without care", named="exponential of the weights")
def bound_naive(log_likelihood, log_prior, log_posterior):
    return (log_likelihood + log_prior - log_posterior).exp().mean(dim=0).log()


@wrong("02.bound", "exp of each factor", named="exponential of the weights")
def bound_naive_factors(log_likelihood, log_prior, log_posterior):
    return torch.log((log_likelihood.exp() * log_prior.exp() / log_posterior.exp()).mean(dim=0))


@wrong("02.bound", "exp without care, and log K is forgotten", named="log K forgotten")
def bound_naive_sum(log_likelihood, log_prior, log_posterior):
    return (log_likelihood + log_prior - log_posterior).exp().sum(dim=0).log()


@wrong("02.bound", "the average of the logarithms", named="average of logarithms")
def bound_elbo(log_likelihood, log_prior, log_posterior):
    return (log_likelihood + log_prior - log_posterior).mean(dim=0)


@wrong("02.bound", "log K is forgotten", named="log K forgotten")
def bound_no_k(log_likelihood, log_prior, log_posterior):
    return torch.logsumexp(log_likelihood + log_prior - log_posterior, dim=0)


@wrong("02.bound", "log K is added", named="log K added")
def bound_plus_k(log_likelihood, log_prior, log_posterior):
    return torch.logsumexp(log_likelihood + log_prior - log_posterior, dim=0) + math.log(len(log_prior))


@wrong("02.bound", "divided by K twice", named="log K twice")
def bound_twice_k(log_likelihood, log_prior, log_posterior):
    log_w = log_likelihood + log_prior - log_posterior
    top = log_w.max(dim=0).values
    return top + (log_w - top).exp().mean(dim=0).log() - math.log(len(log_w))


@wrong("02.bound", "the logarithm divided by K", named="divided by K in the logarithm's world")
def bound_divided(log_likelihood, log_prior, log_posterior):
    return torch.logsumexp(log_likelihood + log_prior - log_posterior, dim=0) / len(log_prior)


@wrong("02.bound", "averaged over images", named="average over images")
def bound_axis(log_likelihood, log_prior, log_posterior):
    log_w = log_likelihood + log_prior - log_posterior
    return torch.logsumexp(log_w, dim=1) - math.log(log_w.shape[1])


@wrong("02.bound", "q added", named="posterior multiplied")
def bound_q_sign(log_likelihood, log_prior, log_posterior):
    log_w = log_likelihood + log_prior + log_posterior
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


@wrong("02.bound", "q forgotten", named="posterior forgotten")
def bound_no_q(log_likelihood, log_prior, log_posterior):
    log_w = log_likelihood + log_prior
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


@wrong("02.bound", "the prior forgotten", named="prior forgotten")
def bound_no_prior(log_likelihood, log_prior, log_posterior):
    log_w = log_likelihood - log_posterior
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


@wrong("02.bound", "only the likelihood", named="prior and posterior ignored")
def bound_likelihood(log_likelihood, log_prior, log_posterior):
    return torch.logsumexp(log_likelihood, dim=0) - math.log(len(log_likelihood))


@wrong("02.bound", "prior and posterior swapped", named="prior and posterior swapped")
def bound_swapped(log_likelihood, log_prior, log_posterior):
    log_w = log_likelihood + log_posterior - log_prior
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


@wrong("02.bound", "the best draw", named="the best draw only")
def bound_best(log_likelihood, log_prior, log_posterior):
    return np.max(log_likelihood + log_prior - log_posterior, axis=0)


@wrong("02.bound", "self-normalised weights", named="self-normalised average")
def bound_self_normalised(log_likelihood, log_prior, log_posterior):
    log_w = log_likelihood + log_prior - log_posterior
    return (torch.softmax(log_w, dim=0) * log_w).sum(dim=0)


@wrong("02.bound", "the loss for the bound", named="sign of the whole")
def bound_sign(log_likelihood, log_prior, log_posterior):
    return -bound_by_logsumexp(log_likelihood, log_prior, log_posterior)


@wrong("02.bound", "the mean over images", named="one number for all images")
def bound_mean(log_likelihood, log_prior, log_posterior):
    return bound_by_logsumexp(log_likelihood, log_prior, log_posterior).mean()


@wrong("02.bound", "a shift that is not the largest weight")
def bound_shifted_by_mean(log_likelihood, log_prior, log_posterior):
    log_w = (log_likelihood + log_prior - log_posterior).float()
    middle = log_w.mean(dim=0)
    return middle + (log_w - middle).exp().mean(dim=0).log()


# 02.evaluate


@right("02.evaluate", "sums and counts, try and finally")
def evaluate_by_sums(model, batches):
    was_training = model.training
    model.eval()
    total, count = 0.0, 0
    try:
        with torch.no_grad():
            for x in batches:
                losses = model(x)
                total += losses.sum().item()
                count += len(x)
    finally:
        model.train(was_training)
    return total / count


@right("02.evaluate", "all losses in one tensor")
def evaluate_by_a_tensor(batches, model):
    mode = model.training
    model.train(False)
    with torch.inference_mode():
        losses = torch.cat([model(batch) for batch in batches])
    model.train(mode)
    return losses.mean()


@right("02.evaluate", "weighted mean of means, decorated with no_grad")
@torch.no_grad()
def evaluate_by_weights(model, batches):
    before = model.training
    model.eval()
    means, sizes = [], []
    for x in batches:
        means.append(float(model(x).mean()))
        sizes.append(x.shape[0])
    if before:
        model.train()
    return np.average(means, weights=sizes)


@right("02.evaluate", "image by image")
def evaluate_image_by_image(model, batches):
    mode = model.training
    model.eval()
    losses = [model(image[None]).item() for batch in batches for image in batch.detach()]
    model.train(mode)
    return sum(losses) / len(losses)


@wrong("02.evaluate", "as handed over", named="as handed over")
def evaluate_as_handed_over(model, batches):
    losses = []
    for x in batches:
        losses.append(model(x).mean())
    return sum(losses) / len(losses)


@wrong("02.evaluate", "only no_grad was added", named="training mode and average of averages")
def evaluate_no_grad_only(model, batches):
    with torch.no_grad():
        means = [model(x).mean() for x in batches]
    return sum(means) / len(means)


@wrong("02.evaluate", "the average of averages", named="average of averages")
def evaluate_average_of_averages(model, batches):
    mode = model.training
    model.eval()
    with torch.no_grad():
        means = [model(x).mean().item() for x in batches]
    model.train(mode)
    return fmean(means)


@wrong("02.evaluate", "training mode", named="training mode")
def evaluate_in_training_mode(model, batches):
    with torch.no_grad():
        return torch.cat([model(x) for x in batches]).mean()


@wrong("02.evaluate", "left in evaluation mode", named="mode not restored")
def evaluate_not_restored(model, batches):
    model.eval()
    with torch.no_grad():
        return torch.cat([model(x) for x in batches]).mean()


@wrong("02.evaluate", "always put into training mode")
def evaluate_always_training(model, batches):
    model.eval()
    with torch.no_grad():
        average = torch.cat([model(x) for x in batches]).mean()
    model.train()
    return average


@wrong("02.evaluate", "the graph is kept", named="graph kept")
def evaluate_with_graph(model, batches):
    mode = model.training
    model.eval()
    losses = torch.cat([model(x) for x in batches])
    model.train(mode)
    return losses.mean()


@wrong("02.evaluate", "the sum", named="sum for mean")
def evaluate_sum(model, batches):
    mode = model.training
    model.eval()
    with torch.no_grad():
        total = sum(model(x).sum().item() for x in batches)
    model.train(mode)
    return total


@wrong("02.evaluate", "the last batch only", named="last batch only")
def evaluate_last(model, batches):
    mode = model.training
    model.eval()
    with torch.no_grad():
        for x in batches:
            loss = model(x).mean().item()
    model.train(mode)
    return loss


@wrong("02.evaluate", "the first batch's size for all", named="all batches taken for full")
def evaluate_full(model, batches):
    mode = model.training
    model.eval()
    with torch.no_grad():
        losses = [model(x) for x in batches]
    model.train(mode)
    return torch.cat(losses).sum() / (len(losses) * len(losses[0]))


@wrong("02.evaluate", "divided by the number of batches", named="divided by the number of batches")
def evaluate_by_batches(model, batches):
    mode = model.training
    model.eval()
    with torch.no_grad():
        sums = [model(x).sum() for x in batches]
    model.train(mode)
    return sum(sums) / len(sums)


@wrong("02.evaluate", "the last batch dropped", named="last batch dropped")
def evaluate_dropped(model, batches):
    batches = list(batches)
    return evaluate_by_a_tensor(batches[:-1] if len(batches) > 1 else batches, model)


@wrong("02.evaluate", "nats per pixel", named="mean over pixels too")
def evaluate_per_pixel(model, batches):
    mode = model.training
    model.eval()
    total, numbers = 0.0, 0
    with torch.no_grad():
        for x in batches:
            total += model(x).sum().item()
            numbers += x.numel()
    model.train(mode)
    return total / numbers


@wrong("02.evaluate", "the batches are counted first, and a generator is empty then")
def evaluate_twice_through(model, batches):
    count = sum(len(x) for x in batches)
    mode = model.training
    model.eval()
    with torch.no_grad():
        total = sum(model(x).sum().item() for x in batches)
    model.train(mode)
    return total / count


# 02.units


@right("02.units", "a string", made=True)
def units_as_a_string():
    return "weight * pixels / (2 * width**2)"


@right("02.units", "a sympy expression, solved", made=True)
def units_solved():
    weight, pixels, width, variance, error = sympy.symbols("weight pixels width variance error", positive=True)
    theirs = width**2 * error / pixels / weight
    return sympy.solve(sympy.Eq(theirs, error / (2 * variance)), variance)[0]


@right("02.units", "the library")
def units_by_the_library(weight, pixels, width):
    return probability.variance_of_kl_weight(weight, pixels, range_width=width)


@right("02.units", "step by step")
def units_step_by_step(width, weight, pixels):
    per_nat = pixels * weight
    on_their_scale = per_nat / 2
    return on_their_scale / width / width


@wrong("02.units", "the number of pixels is forgotten", named="pixels forgotten", made=True)
def units_pixels():
    return "weight / (2 * width**2)"


@wrong("02.units", "the ½ is forgotten", named="½ forgotten", made=True)
def units_half():
    return "weight * pixels / width**2"


@wrong("02.units", "the range is forgotten", named="range forgotten", made=True)
def units_range():
    return "weight * pixels / 2"


@wrong("02.units", "the range is not squared", named="range not squared", made=True)
def units_not_squared():
    return "weight * pixels / (2 * width)"


@wrong("02.units", "multiplied by the squared range", named="range on the wrong side", made=True)
def units_wrong_side():
    return "weight * pixels * width**2 / 2"


@wrong("02.units", "multiplied by the range", named="range multiplied", made=True)
def units_multiplied():
    return "weight * pixels * width / 2"


@wrong("02.units", "σ for σ²", named="standard deviation", made=True)
def units_std():
    return "sqrt(weight * pixels / (2 * width**2))"


@wrong("02.units", "upside down: the weight that belongs to a variance", named="the inverse")
def units_inverse(weight, pixels, width):
    return 2 * width**2 / (weight * pixels)


@wrong("02.units", "the weight on the squared error", named="weight on the squared error", made=True)
def units_weight():
    return "pixels / (2 * weight * width**2)"


@wrong("02.units", "divided by the pixels", named="divided by the pixels", made=True)
def units_divided():
    return "weight / (2 * pixels * width**2)"


@wrong("02.units", "the library's inverse function")
def units_other_function(weight, pixels, width):
    return probability.kl_weight_beside_mse(1.0, weight, pixels, range_width=width)
