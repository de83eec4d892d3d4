"""The maximum-likelihood hyper-parameters of the Mauna Loa CO2 Gaussian process by scikit-learn, stored as test/data/co2-sklearn.json.

The model is Rasmussen & Williams, "Gaussian Processes for Machine Learning" (2006), section 5.4.3, eq. (5.14)-(5.19): four
covariances, eleven hyper-parameters, monthly means from 1958 to 2003. The data are those that examples/fit.ts reads.

    pip install scikit-learn==1.9.1 scipy==1.17.1 numpy==2.4.6
    npm install --no-save vega-datasets@3.2.1
    python scripts/references/co2_sklearn.py node_modules/vega-datasets/data/co2-concentration.csv > test/data/co2-sklearn.json
"""
import csv, json, platform, sys

import numpy as np
import scipy
import sklearn
from scipy.optimize import minimize
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, ConstantKernel, ExpSineSquared, RationalQuadratic, WhiteKernel

rows = [r for r in csv.DictReader(open(sys.argv[1])) if r["Date"] < "2004"]
t = np.array([int(r["Date"][:4]) + (int(r["Date"][5:7]) - 0.5) / 12 for r in rows])
y = np.array([float(r["CO2"]) for r in rows])
y -= y.mean()

C = lambda amplitude: ConstantKernel(amplitude**2, (1e-12, 1e12))
wide = (1e-8, 1e8)
kernel = (
    C(50.0) * RBF(50.0, wide)
    + C(2.0) * RBF(100.0, wide) * ExpSineSquared(1.0, 1.0, wide, "fixed")
    + C(0.5) * RationalQuadratic(length_scale=1.0, alpha=1.0, length_scale_bounds=wide, alpha_bounds=wide)
    + C(0.1) * RBF(0.1, wide)
    + WhiteKernel(0.1**2, (1e-12, 1e12))
)
evaluations = 0


def optimizer(objective, theta, bounds):
    def counted(p):
        global evaluations
        evaluations += 1
        return objective(p)

    best = minimize(counted, theta, jac=True, method="L-BFGS-B", bounds=bounds, options={"ftol": 1e-15, "gtol": 1e-6, "maxiter": 1000})
    best = minimize(counted, best.x, jac=True, method="BFGS", options={"gtol": 1e-6})
    return best.x, best.fun


gp = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=optimizer).fit(t[:, None], y)
value, gradient = gp.log_marginal_likelihood(gp.kernel_.theta, eval_gradient=True)
k = gp.kernel_.get_params()
root = lambda name: float(np.sqrt(k[name]))
names = {
    "trend amplitude": root("k1__k1__k1__k1__k1__constant_value"),
    "trend length": k["k1__k1__k1__k1__k2__length_scale"],
    "seasonal amplitude": root("k1__k1__k1__k2__k1__k1__constant_value"),
    "seasonal decay": k["k1__k1__k1__k2__k1__k2__length_scale"],
    "seasonal smoothness": k["k1__k1__k1__k2__k2__length_scale"],
    "medium-term amplitude": root("k1__k1__k2__k1__constant_value"),
    "medium-term length": k["k1__k1__k2__k2__length_scale"],
    "medium-term shape": k["k1__k1__k2__k2__alpha"],
    "correlated noise amplitude": root("k1__k2__k1__constant_value"),
    "correlated noise length": k["k1__k2__k2__length_scale"],
    "white noise": root("k2__noise_level"),
}
start = GaussianProcessRegressor(kernel, alpha=0.0, optimizer=None).fit(t[:, None], y).log_marginal_likelihood(kernel.theta)
print(
    json.dumps(
        {
            "made_by": "scripts/references/co2_sklearn.py",
            "python": platform.python_version(),
            "scikit_learn": sklearn.__version__,
            "scipy": scipy.__version__,
            "numpy": np.__version__,
            "points": len(t),
            "log_likelihood_at_start": start,
            "log_likelihood": value,
            "largest_gradient": float(np.abs(gradient).max()),
            "evaluations": evaluations,
            "parameters": {name: float(v) for name, v in names.items()},
        },
        indent=2,
    )
)
